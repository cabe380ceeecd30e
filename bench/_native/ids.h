/* What both kernels need: numbers of segment ids, and the table of pairs. */
#ifndef BENCH_IDS_H
#define BENCH_IDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_TABLE 4096 /* cells that are allowed however small the image is */

/* Listed id -> its number from 1; open addressing, `number` -1 where a slot is free. */
typedef struct {
    uint32_t *id;
    int32_t *number;
    uint32_t mask;
} Table;

static inline uint32_t slot_of(const Table *table, uint32_t id) {
    uint32_t slot = (id * 2654435761u >> 8) & table->mask;
    while (table->number[slot] >= 0 && table->id[slot] != id)
        slot = (slot + 1) & table->mask;
    return slot;
}

/* `void_id` has number 0 unless it is listed; `ids` are native 32 bit numbers, wherever in memory they lie. */
static int make_table(Table *table, const uint8_t *ids, int32_t count, uint32_t void_id) {
    uint32_t size = 16, id = void_id;
    while (size < 4 * ((uint32_t)count + 1))
        size *= 2;
    table->mask = size - 1;
    table->id = malloc(size * sizeof *table->id);
    table->number = malloc(size * sizeof *table->number);
    if (!table->id || !table->number)
        return 0;
    memset(table->number, 0xff, size * sizeof *table->number);
    for (int32_t number = 0; number <= count; number++) {
        if (number)
            memcpy(&id, ids + 4 * ((size_t)number - 1), 4);
        uint32_t slot = slot_of(table, id);
        table->id[slot] = id;
        table->number[slot] = number;
    }
    return 1;
}

static void free_table(Table *table) {
    free(table->id);
    free(table->number);
}

/* Whether a cell for every pair is no more than the image is worth. */
static int pays(int64_t rows, int64_t columns, int64_t pixels) {
    return rows * columns <= (pixels > SMALL_TABLE ? pixels : SMALL_TABLE);
}

/* The cells that hold pixels: a sorted table of native int64 (truth number, predicted number, pixels). */
static PyObject *table_of(const int64_t *cells, int32_t rows, int32_t columns) {
    size_t all = (size_t)rows * columns, count = 0;
    for (size_t k = 0; k < all; k++)
        count += cells[k] != 0;
    PyObject *table = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * 3 * sizeof(int64_t)));
    char *at = table ? PyBytes_AS_STRING(table) : NULL;
    for (size_t k = 0; table && k < all; k++)
        if (cells[k]) {
            int64_t row[3] = {(int64_t)(k / columns), (int64_t)(k % columns), cells[k]};
            memcpy(at, row, sizeof row);
            at += sizeof row;
        }
    return table;
}

#endif
