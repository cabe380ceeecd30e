/* Maps of segments in memory: ids made dense, and the pixels that every pair of segments of two maps shares.
 *
 * Neighbours mostly belong to one segment, so that a pixel is looked up only where it differs from the one before.
 * Whatever is not plain (an id that is not listed, more pairs than pixels) gives None: the caller then goes the
 * ordinary way, which also says what is wrong.
 */
#include "ids.h"

enum { PLAIN, NOT_PLAIN, NO_MEMORY };

/* `areas` are the pixels of each number, void first. */
static int fill(const int32_t *ids, Py_ssize_t pixels, const Table *table, int32_t *out, int64_t *areas) {
    for (Py_ssize_t k = 0, start = 0; k < pixels; k = start) {
        int32_t number = table->number[slot_of(table, (uint32_t)ids[k])];
        if (number < 0)
            return NOT_PLAIN;
        while (start < pixels && ids[start] == ids[k])
            out[start++] = number;
        areas[number] += start - k;
    }
    return PLAIN;
}

PyDoc_STRVAR(dense_doc, "dense(ids, listed, void, out)\n--\n\n"
                        "Native int32 ids of pixels, and those that are listed: writes the place of each pixel's id in\n"
                        "`listed` from 1, 0 for void, to `out`, of native int32, too. Gives the pixels of each place,\n"
                        "void first, as native int64 bytes; None where an id is not listed.");

static PyObject *dense(PyObject *self, PyObject *args) {
    Py_buffer ids, listed, out;
    int void_id, status = NOT_PLAIN;
    Table table = {0};
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*iw*", &ids, &listed, &void_id, &out))
        return NULL;
    Py_ssize_t segments = listed.len / 4;
    PyObject *areas = PyBytes_FromStringAndSize(NULL, (segments + 1) * (Py_ssize_t)sizeof(int64_t));
    if (areas && out.len == ids.len) {
        int64_t *counts = (int64_t *)memset(PyBytes_AS_STRING(areas), 0, (size_t)PyBytes_GET_SIZE(areas));
        Py_BEGIN_ALLOW_THREADS
        status = make_table(&table, listed.buf, (int32_t)segments, (uint32_t)void_id) ? PLAIN : NO_MEMORY;
        if (status == PLAIN)
            status = fill(ids.buf, ids.len / 4, &table, out.buf, counts);
        free_table(&table);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&listed);
    PyBuffer_Release(&out);
    if (areas && status == NO_MEMORY)
        PyErr_NoMemory();
    if (areas && status != PLAIN)
        Py_CLEAR(areas);
    return areas || PyErr_Occurred() ? areas : Py_NewRef(Py_None);
}

static int count(const int32_t *truth, const int32_t *made, Py_ssize_t pixels, const int32_t *most, int64_t *cells) {
    for (Py_ssize_t k = 0, start = 0; k < pixels; k = start) {
        int32_t t = truth[k], p = made[k];
        if (t < 0 || p < 0 || t > most[0] || p > most[1])
            return NOT_PLAIN;
        while (start < pixels && truth[start] == t && made[start] == p)
            start++;
        cells[(size_t)t * ((size_t)most[1] + 1) + p] += start - k;
    }
    return PLAIN;
}

PyDoc_STRVAR(pairs_doc, "pairs(truth, prediction, truth_segments, predicted_segments)\n--\n\n"
                        "Two maps of native int32 dense ids -> native int64 rows (truth, prediction, shared pixels),\n"
                        "sorted, as bytes; None where a table of all pairs is larger than the maps.");

static PyObject *pairs(PyObject *self, PyObject *args) {
    Py_buffer maps[2];
    int32_t most[2];
    PyObject *found = NULL;
    int64_t *cells = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*ii", &maps[0], &maps[1], &most[0], &most[1]))
        return NULL;
    Py_ssize_t pixels = maps[0].len / 4;
    int status = NOT_PLAIN;
    if (maps[0].len == maps[1].len && most[0] >= 0 && most[1] >= 0 &&
        pays((int64_t)most[0] + 1, (int64_t)most[1] + 1, pixels)) {
        cells = calloc(((size_t)most[0] + 1) * ((size_t)most[1] + 1), sizeof *cells);
        Py_BEGIN_ALLOW_THREADS
        status = cells ? count(maps[0].buf, maps[1].buf, pixels, most, cells) : NO_MEMORY;
        Py_END_ALLOW_THREADS
    }
    if (status == NO_MEMORY)
        PyErr_NoMemory();
    else
        found = status == PLAIN ? table_of(cells, most[0] + 1, most[1] + 1) : Py_NewRef(Py_None);
    free(cells);
    PyBuffer_Release(&maps[0]);
    PyBuffer_Release(&maps[1]);
    return found;
}

static PyMethodDef methods[] = {
    {"dense", dense, METH_VARARGS, dense_doc}, {"pairs", pairs, METH_VARARGS, pairs_doc}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_maps", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__maps(void) { return PyModuleDef_Init(&module); }
