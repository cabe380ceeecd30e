/* Two RGB PNGs of segment ids, as inflated (filtered) rows -> the pixels that every pair of segments shares.
 *
 * No pixel image is made. Under every PNG filter (PNG specification, section 9) a zero residual goes on as before, so
 * a row is kept as runs of equal ids and computed from the runs of the row above and the few residuals that are not
 * zero. The runs of both maps are merged as they come; memory is that of a row, of the table of pairs and of the
 * truth's runs, which are handed back.
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

/* One map: its rows and the runs of the last two of them. */
typedef struct {
    const uint8_t *rows;
    int32_t width;
    Runs runs[2];
    int current;
    Table table;
} Map;

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
    uint64_t word;
    for (; at + 8 <= end; at += 8) {
        memcpy(&word, pixels + at, 8);
        if (word)
            break;
    }
    while (at < end && !pixels[at])
        at++;
    return at < end ? (int32_t)(at / 3) : width;
}

/* `row` is a filter type and 3 * width residuals. Returns 0 for a filter type that does not exist. */
static int unfilter_row(const uint8_t *row, int32_t width, const Runs *above, Runs *out) {
    int32_t no_start[2] = {0, width};
    uint32_t no_id[1] = {0};
    const Runs nothing = {no_start, no_id, 1};
    const uint8_t *pixels = row + 1;
    uint32_t left = 0, corner = 0;
    int32_t k = 0, count = 0, next = next_residual(pixels, 0, width);
    int filter = row[0];
    if (filter > 4)
        return 0;
    if (filter < 2) /* these do not look up */
        above = &nothing;
    for (int32_t x = 0; x < width;) {
        while (above->start[k + 1] <= x)
            k++;
        uint32_t up = above->id[k], id = predict(filter, left, up, corner);
        if (x == next) {
            id = add_bytes(id, load_pixel(pixels + 3 * (size_t)x));
            next = next_residual(pixels, x + 1, width);
        }
        if (count == 0 || out->id[count - 1] != id) {
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
    return 1;
}

static int make_map(Map *map, const uint8_t *rows, int32_t width, const uint8_t *ids, int32_t count) {
    map->rows = rows;
    map->width = width;
    map->current = 0;
    for (int k = 0; k < 2; k++) {
        map->runs[k].start = malloc(((size_t)width + 1) * sizeof *map->runs[k].start);
        map->runs[k].id = malloc((size_t)width * sizeof *map->runs[k].id);
        if (!map->runs[k].start || !map->runs[k].id)
            return 0;
    }
    map->runs[0].start[0] = 0; /* above the first row all is zero */
    map->runs[0].start[1] = width;
    map->runs[0].id[0] = 0;
    map->runs[0].count = 1;
    return make_table(&map->table, ids, count, 0);
}

static void free_map(Map *map) {
    for (int k = 0; k < 2; k++) {
        free(map->runs[k].start);
        free(map->runs[k].id);
    }
    free_table(&map->table);
}

/* The runs of row y, ids replaced by numbers into `numbers` (width entries); NULL where it is not plain. */
static const Runs *row_of(Map *map, int32_t y, int32_t *numbers) {
    const Runs *above = &map->runs[map->current];
    Runs *runs = &map->runs[map->current ^= 1];
    if (!unfilter_row(map->rows + (size_t)y * (3 * (size_t)map->width + 1), map->width, above, runs))
        return NULL;
    for (int32_t k = 0; k < runs->count; k++) {
        numbers[k] = map->table.number[slot_of(&map->table, runs->id[k])];
        if (numbers[k] < 0)
            return NULL;
    }
    return runs;
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

/* Adds the pixels of a row to `cells`: number of the truth down, of the prediction across. */
static void merge_row(const Runs *truth, const int32_t *t, const Runs *made, const int32_t *p, int64_t *cells,
                      int32_t columns, int32_t width) {
    for (int32_t x = 0, i = 0, j = 0; x < width;) {
        int32_t truth_end = truth->start[i + 1], made_end = made->start[j + 1];
        int32_t end = truth_end < made_end ? truth_end : made_end;
        cells[(size_t)t[i] * columns + p[j]] += end - x;
        i += truth_end == end;
        j += made_end == end;
        x = end;
    }
}

enum { PLAIN, NOT_PLAIN, NO_MEMORY };

static int join_maps(Map *truth, Map *made, int32_t height, int64_t *cells, int32_t columns, FlatRuns *flat) {
    int32_t width = truth->width, status = PLAIN;
    int32_t *numbers = malloc(2 * (size_t)width * sizeof *numbers);
    if (!numbers)
        return NO_MEMORY;
    for (int32_t y = 0; y < height && status == PLAIN; y++) {
        const Runs *t = row_of(truth, y, numbers);
        const Runs *p = t ? row_of(made, y, numbers + width) : NULL;
        if (!p) {
            status = NOT_PLAIN;
            break;
        }
        merge_row(t, numbers, p, numbers + width, cells, columns, width);
        for (int32_t k = 0; k < t->count && status == PLAIN; k++)
            if (!append_run(flat, y * width + t->start[k], numbers[k]))
                status = NO_MEMORY;
    }
    free(numbers);
    return status;
}

static PyObject *joined(const Py_buffer *rows, const Py_buffer *ids, int32_t height, int32_t width) {
    int32_t counts[2] = {(int32_t)(ids[0].len / 4), (int32_t)(ids[1].len / 4)}, columns = counts[1] + 1;
    Map maps[2] = {{0}, {0}};
    FlatRuns flat = {0};
    int status = NO_MEMORY;
    int64_t *cells = calloc(((size_t)counts[0] + 1) * columns, sizeof *cells);
    PyObject *table = NULL, *found = NULL;
    Py_BEGIN_ALLOW_THREADS
    if (cells && make_map(&maps[0], rows[0].buf, width, ids[0].buf, counts[0]) &&
        make_map(&maps[1], rows[1].buf, width, ids[1].buf, counts[1]))
        status = join_maps(&maps[0], &maps[1], height, cells, columns, &flat);
    free_map(&maps[0]);
    free_map(&maps[1]);
    Py_END_ALLOW_THREADS
    if (status == NO_MEMORY)
        PyErr_NoMemory();
    else if (status == NOT_PLAIN)
        found = Py_NewRef(Py_None);
    else if ((table = table_of(cells, counts[0] + 1, columns)))
        found = Py_BuildValue("(Ny#)", table, (char *)flat.data, (Py_ssize_t)(flat.count * 2 * sizeof *flat.data));
    free(cells);
    free(flat.data);
    return found;
}

/* What must hold before any byte is looked at; everything after it stays inside the buffers. */
static int fits(const Py_buffer *rows, const Py_buffer *ids, Py_ssize_t height, Py_ssize_t width) {
    int64_t pixels;
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE)
        return 0;
    pixels = (int64_t)height * width;
    if (pixels > MAX_PIXELS)
        return 0;
    for (int k = 0; k < 2; k++)
        if (rows[k].len != 3 * pixels + height || ids[k].len % 4 || ids[k].len / 4 >= MAX_SEGMENTS)
            return 0;
    return pays(ids[0].len / 4 + 1, ids[1].len / 4 + 1, pixels);
}

PyDoc_STRVAR(join_doc,
             "join(truth_rows, predicted_rows, truth_ids, predicted_ids, height, width)\n--\n\n"
             "Rows are inflated RGB8 PNG data, ids native int32 in the order listed.\n"
             "Gives (native int64 (truth number, predicted number, pixels), int32 (start, number) of the truth's runs),\n"
             "numbers from 1 in the order of the ids, 0 for void; None where the rows and ids are not plain.");

static PyObject *join(PyObject *self, PyObject *args) {
    Py_buffer rows[2], ids[2];
    Py_ssize_t height, width;
    PyObject *found;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*y*nn", &rows[0], &rows[1], &ids[0], &ids[1], &height, &width))
        return NULL;
    found = fits(rows, ids, height, width) ? joined(rows, ids, (int32_t)height, (int32_t)width) : Py_NewRef(Py_None);
    for (int k = 0; k < 2; k++) {
        PyBuffer_Release(&rows[k]);
        PyBuffer_Release(&ids[k]);
    }
    return found;
}

static PyMethodDef methods[] = {{"join", join, METH_VARARGS, join_doc}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_png_runs", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__png_runs(void) { return PyModuleDef_Init(&module); }
