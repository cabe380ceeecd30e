/* RGB PNGs of segment ids, as inflated (filtered) rows -> runs of equal ids -> the pixels that every pair of segments of
 * two maps shares.
 *
 * No pixel image is made. Under every PNG filter (PNG specification, section 9) a zero residual goes on as before, so
 * a row is kept as runs of equal ids and computed from the runs of the row above and the few residuals that are not
 * zero. Memory is that of two rows and of the runs that are returned.
 *
 * Whatever is not plain (a filter type beyond 4, an id that is not listed) gives None: the caller then decodes the
 * ordinary way and says what is wrong.
 */
#include "ids.h"

#define MAX_SIDE (1 << 20) /* px */
#define MAX_PIXELS (1 << 28)
#define MAX_SEGMENTS (1 << 16)

/* Runs of one row: run k is [start[k], start[k + 1]) with one id; start[count] is the width. */
typedef struct {
    int32_t *start;
    uint32_t *id;
    int32_t count;
} Runs;

/* (start, number) of maximal runs over the whole image, rows joined. */
typedef struct {
    int32_t *data;
    size_t count, capacity; /* runs */
} FlatRuns;

static inline uint32_t load_pixel(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

/* Three sums modulo 256, side by side. */
static inline uint32_t add_bytes(uint32_t a, uint32_t b) {
    return ((a & 0x7f7f7f) + (b & 0x7f7f7f)) ^ ((a ^ b) & 0x808080);
}

static inline uint32_t average_bytes(uint32_t a, uint32_t b) { return (a & b) + (((a ^ b) & 0xfefefe) >> 1); }

static uint32_t paeth(uint32_t left, uint32_t above, uint32_t corner) {
    uint32_t found = 0;
    if (above == corner)
        return left;
    if (left == corner)
        return above;
    for (int shift = 0; shift < 24; shift += 8) {
        int a = left >> shift & 255, b = above >> shift & 255, c = corner >> shift & 255;
        int to_a = abs(b - c), to_b = abs(a - c), to_c = abs(a + b - 2 * c);
        int nearest = to_a <= to_b && to_a <= to_c ? a : to_b <= to_c ? b : c;
        found |= (uint32_t)nearest << shift;
    }
    return found;
}

static inline uint32_t predict(int filter, uint32_t left, uint32_t above, uint32_t corner) {
    switch (filter) {
    case 1:
        return left;
    case 2:
        return above;
    case 3:
        return average_bytes(left, above);
    case 4:
        return paeth(left, above, corner);
    default:
        return 0;
    }
}

/* The first pixel from x on whose residual is not zero; the width where there is none. */
static inline int32_t next_residual(const uint8_t *pixels, int32_t x, int32_t width) {
    size_t at = (size_t)x * 3, end = (size_t)width * 3;
    uint64_t words[4];
    for (; at + 32 <= end; at += 32) {
        memcpy(words, pixels + at, 32);
        if (words[0] | words[1] | words[2] | words[3])
            break;
    }
    for (; at + 8 <= end; at += 8) {
        memcpy(words, pixels + at, 8);
        if (words[0]) {
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return (int32_t)((at + ((size_t)__builtin_ctzll(words[0]) >> 3)) / 3);
#else
            break;
#endif
        }
    }
    while (at < end && !pixels[at])
        at++;
    return at < end ? (int32_t)(at / 3) : width;
}

/* `filter` is a constant where it is called, so that each filter has a loop of its own. */
static inline void unfilter(int filter, const uint8_t *pixels, int32_t width, const Runs *above, Runs *out) {
    uint32_t left = 0, corner = 0;
    int32_t k = 0, count = 0, next = next_residual(pixels, 0, width);
    for (int32_t x = 0; x < width;) {
        while (above->start[k + 1] <= x)
            k++;
        uint32_t up = above->id[k], id = predict(filter, left, up, corner);
        if (x == next) {
            id = add_bytes(id, load_pixel(pixels + 3 * (size_t)x));
            next = next_residual(pixels, x + 1, width);
        }
        if (count == 0 || left != id) {
            out->start[count] = x;
            out->id[count++] = id;
        }
        left = id;
        corner = up;
        /* Up to the next residual or the next run above nothing changes any more once a prediction repeats itself. */
        if (predict(filter, id, up, up) == id)
            x = next < above->start[k + 1] ? next : above->start[k + 1];
        else
            x++;
    }
    out->start[count] = width;
    out->count = count;
}

/* `row` is a filter type and 3 * width residuals. Returns 0 for a filter type that does not exist. */
static int unfilter_row(const uint8_t *row, int32_t width, const Runs *above, Runs *out) {
    int32_t no_start[2] = {0, width};
    uint32_t no_id[1] = {0};
    const Runs nothing = {no_start, no_id, 1}; /* the first two filters do not look up */
    switch (row[0]) {
    case 0:
        unfilter(0, row + 1, width, &nothing, out);
        return 1;
    case 1:
        unfilter(1, row + 1, width, &nothing, out);
        return 1;
    case 2:
        unfilter(2, row + 1, width, above, out);
        return 1;
    case 3:
        unfilter(3, row + 1, width, above, out);
        return 1;
    case 4:
        unfilter(4, row + 1, width, above, out);
        return 1;
    default:
        return 0;
    }
}

static int append_run(FlatRuns *flat, int32_t start, int32_t number) {
    if (flat->count && flat->data[2 * flat->count - 1] == number)
        return 1;
    if (flat->count == flat->capacity) {
        size_t capacity = flat->capacity ? 2 * flat->capacity : 4096;
        int32_t *data = realloc(flat->data, capacity * 2 * sizeof *data);
        if (!data)
            return 0;
        flat->data = data;
        flat->capacity = capacity;
    }
    flat->data[2 * flat->count] = start;
    flat->data[2 * flat->count++ + 1] = number;
    return 1;
}

enum { PLAIN, NOT_PLAIN, NO_MEMORY };

/* `two` have room for width runs each; above the first row all is zero. */
static int flatten(const uint8_t *rows, int32_t height, int32_t width, const Table *table, Runs *two, FlatRuns *flat) {
    two[0].start[0] = 0;
    two[0].start[1] = width;
    two[0].id[0] = 0;
    for (int32_t y = 0; y < height; y++) {
        const Runs *above = &two[y & 1];
        Runs *runs = &two[~y & 1];
        if (!unfilter_row(rows + (size_t)y * (3 * (size_t)width + 1), width, above, runs))
            return NOT_PLAIN;
        for (int32_t k = 0; k < runs->count; k++) {
            int32_t number = table->number[slot_of(table, runs->id[k])];
            if (number < 0)
                return NOT_PLAIN;
            if (!append_run(flat, y * width + runs->start[k], number))
                return NO_MEMORY;
        }
    }
    return PLAIN;
}

static PyObject *flattened(const Py_buffer *rows, const Py_buffer *ids, int32_t height, int32_t width) {
    Table table = {0};
    FlatRuns flat = {0};
    Runs two[2];
    int status = NO_MEMORY;
    PyObject *found = NULL;
    int32_t *memory = malloc(2 * (2 * (size_t)width + 1) * sizeof *memory);
    Py_BEGIN_ALLOW_THREADS
    for (int k = 0; memory && k < 2; k++) {
        two[k].start = memory + k * (2 * (size_t)width + 1);
        two[k].id = (uint32_t *)(two[k].start + width + 1);
    }
    if (memory && make_table(&table, ids->buf, (int32_t)(ids->len / 4), 0))
        status = flatten(rows->buf, height, width, &table, two, &flat);
    free_table(&table);
    free(memory);
    Py_END_ALLOW_THREADS
    if (status == NO_MEMORY)
        PyErr_NoMemory();
    else if (status == NOT_PLAIN)
        found = Py_NewRef(Py_None);
    else
        found = PyBytes_FromStringAndSize((char *)flat.data, (Py_ssize_t)(flat.count * 2 * sizeof *flat.data));
    free(flat.data);
    return found;
}

/* What must hold before any byte is looked at; everything after it stays inside the buffers. */
static int fits(const Py_buffer *rows, const Py_buffer *ids, Py_ssize_t height, Py_ssize_t width) {
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE || (int64_t)height * width > MAX_PIXELS)
        return 0;
    return rows->len == 3 * height * width + height && ids->len % 4 == 0 && ids->len / 4 < MAX_SEGMENTS;
}

PyDoc_STRVAR(runs_doc, "runs(rows, ids, height, width)\n--\n\n"
                       "Rows are inflated RGB8 PNG data, ids native int32 in the order listed.\n"
                       "Gives native int32 (start, number) of the runs of the flattened map, as bytes; numbers from 1 in\n"
                       "the order of the ids, 0 for void. None where the rows and ids are not plain.");

static PyObject *runs(PyObject *self, PyObject *args) {
    Py_buffer rows, ids;
    Py_ssize_t height, width;
    PyObject *found;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*nn", &rows, &ids, &height, &width))
        return NULL;
    found = fits(&rows, &ids, height, width) ? flattened(&rows, &ids, (int32_t)height, (int32_t)width)
                                             : Py_NewRef(Py_None);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&ids);
    return found;
}

/* Adds the pixels of every pair of runs to `cells`: number of the truth down, of the prediction across. */
static int join_runs(const int32_t *const *runs, const Py_ssize_t *counts, const int32_t *most, int64_t pixels,
                     int64_t *cells) {
    const int32_t *t = runs[0], *p = runs[1];
    const int32_t *t_last = t + 2 * (counts[0] - 1), *p_last = p + 2 * (counts[1] - 1);
    if (t[0] || p[0])
        return NOT_PLAIN;
    for (int64_t at = 0; at < pixels;) {
        int64_t t_end = t == t_last ? pixels : t[2], p_end = p == p_last ? pixels : p[2];
        int64_t end = t_end < p_end ? t_end : p_end;
        if (end <= at || end > pixels || t[1] < 0 || t[1] > most[0] || p[1] < 0 || p[1] > most[1])
            return NOT_PLAIN;
        cells[(size_t)t[1] * ((size_t)most[1] + 1) + p[1]] += end - at;
        t += t_end == end && t != t_last ? 2 : 0;
        p += p_end == end && p != p_last ? 2 : 0;
        at = end;
    }
    return PLAIN;
}

PyDoc_STRVAR(join_doc, "join(truth_runs, predicted_runs, truth_segments, predicted_segments, pixels)\n--\n\n"
                       "Runs as `runs` gives them -> native int64 rows (truth, prediction, shared pixels), sorted, as\n"
                       "bytes; None where a table of all pairs is larger than the maps, or the runs are not such.");

static PyObject *join(PyObject *self, PyObject *args) {
    Py_buffer maps[2];
    int32_t most[2];
    Py_ssize_t pixels;
    PyObject *found = NULL;
    int64_t *cells = NULL;
    int status = NOT_PLAIN;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*iin", &maps[0], &maps[1], &most[0], &most[1], &pixels))
        return NULL;
    if (maps[0].len >= 8 && maps[1].len >= 8 && most[0] >= 0 && most[1] >= 0 && pixels > 0 && pixels <= MAX_PIXELS &&
        pays((int64_t)most[0] + 1, (int64_t)most[1] + 1, pixels)) {
        const int32_t *runs[2] = {maps[0].buf, maps[1].buf};
        const Py_ssize_t counts[2] = {maps[0].len / 8, maps[1].len / 8};
        cells = calloc(((size_t)most[0] + 1) * ((size_t)most[1] + 1), sizeof *cells);
        Py_BEGIN_ALLOW_THREADS
        status = cells ? join_runs(runs, counts, most, pixels, cells) : NO_MEMORY;
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
    {"runs", runs, METH_VARARGS, runs_doc}, {"join", join, METH_VARARGS, join_doc}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_png_runs", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__png_runs(void) { return PyModuleDef_Init(&module); }
