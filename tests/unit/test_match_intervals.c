/* match: the intervals and their keys through intervals.h, beside a list that is searched whole. */
#include "intervals.h"

#include "failing.h"
#include "random.h"

#include <float.h>
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_MAX 6000U

/* The intervals, and the same entries in no order. */
struct model {
	struct test_random random;
	struct match_intervals intervals;
	struct match_interval list[MODEL_MAX];
	size_t count;
	size_t made; /* so far, also those removed since */
};

static void *item_of(size_t number)
{
	return (void *)(uintptr_t)(number + 1);
}

static void model_open(struct model *model, const char *what)
{
	*model = (struct model){.random = test_random_start(what)};
}

static void model_close(struct model *model)
{
	match_intervals_verify(&model->intervals);
	assert_int_equal(model->intervals.count, model->count);
	match_intervals_fini(&model->intervals);
	assert_null(model->intervals.root);
	assert_int_equal(model->intervals.count, 0);
}

static void model_add(struct model *model, struct match_interval interval)
{
	assert_true(model->count < MODEL_MAX);
	assert_int_equal(match_intervals_add(&model->intervals, &interval), OK);
	model->list[model->count++] = interval;
}

static void model_remove(struct model *model, size_t at)
{
	struct match_interval interval = model->list[at];
	match_intervals_remove(&model->intervals, &interval);
	model->list[at] = model->list[--model->count];
}

static void model_remove_any(struct model *model)
{
	model_remove(model, (size_t)test_random_below(&model->random, model->count));
}

/* ---- stabs ---- */

struct visited {
	void *items[MODEL_MAX];
	size_t count;
	size_t stop_at; /* the visit that fails; 0: none */
};

static enum err visit(void *ctx, const struct match_interval *found)
{
	struct visited *visited = ctx;
	assert_true(visited->count < MODEL_MAX);
	visited->items[visited->count++] = found->item;
	return visited->count == visited->stop_at ? ERR_LIMIT : OK;
}

static int compare_intervals(const void *left, const void *right)
{
	const struct match_interval *a = left;
	const struct match_interval *b = right;
	if (a->low != b->low) {
		return a->low < b->low ? -1 : 1;
	}
	if (a->high != b->high) {
		return a->high < b->high ? -1 : 1;
	}
	return (a->item > b->item) - (a->item < b->item);
}

/* Once to the end, and once with a visitor that fails on the way. */
static void model_stab(struct model *model, uint64_t point)
{
	static struct match_interval expected[MODEL_MAX];
	static struct visited visited;
	uint64_t met = test_random_below(&model->random, 8) | (uint64_t)1 << 63;
	size_t count = 0;
	for (size_t i = 0; i < model->count; i++) {
		bool lacks = model->list[i].needs & ~met;
		if (model->list[i].low <= point && model->list[i].high >= point && !lacks) {
			expected[count++] = model->list[i];
		}
	}
	qsort(expected, count, sizeof(expected[0]), compare_intervals);
	visited.count = 0;
	visited.stop_at = 0;
	assert_int_equal(match_intervals_stab(&model->intervals, point, met, visit, &visited), OK);
	assert_int_equal(visited.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(visited.items[i], expected[i].item);
	}
	if (count > 0) {
		visited.count = 0;
		visited.stop_at = 1 + (size_t)test_random_below(&model->random, count);
		assert_int_equal(
			match_intervals_stab(&model->intervals, point, met, visit, &visited),
			ERR_LIMIT);
		assert_int_equal(visited.count, visited.stop_at);
	}
}

/* At, just before and just behind an end of an entry, and anywhere. */
static void model_stab_some(struct model *model)
{
	model_stab(model, test_random_next(&model->random));
	model_stab(model, test_random_below(&model->random, 1000));
	if (model->count > 0) {
		const struct match_interval *one =
			&model->list[test_random_below(&model->random, model->count)];
		uint64_t end = test_random_below(&model->random, 2) ? one->low : one->high;
		model_stab(model, end - 1 + test_random_below(&model->random, 3));
	}
}

/* ---- distributions ---- */

enum shape {
	ANYWHERE,
	FEW_KEYS, /* the same entries, items too, come often */
	LOWS_EQUAL,
	HIGHS_EQUAL,
	NESTED,
	ENDS_EQUAL, /* only the items differ */
	ASCENDING,
	DESCENDING,
	ONE_SIDED,
	SHORT_AND_LONG,
	SHAPES,
};

/* What it needs follows from the item: none, one or both of two bits. */
static struct match_interval interval(uint64_t low, uint64_t high, void *item)
{
	return (struct match_interval){low, high, item, (uintptr_t)item / sizeof(void *) % 4};
}

static struct match_interval make(struct model *model, enum shape shape)
{
	size_t made = model->made++;
	uint64_t a = test_random_next(&model->random);
	uint64_t b = test_random_next(&model->random);
	uint64_t small = test_random_below(&model->random, 1000);
	void *item = item_of(made);
	switch (shape) {
	case FEW_KEYS:
		return interval(a % 8, b % 8, item_of(small % 3));
	case LOWS_EQUAL:
		return interval(0, small % 2 ? b : small, item);
	case HIGHS_EQUAL:
		return interval(small % 2 ? a : small, UINT64_MAX, item);
	case NESTED:
		return interval(made, UINT64_MAX - made, item);
	case ENDS_EQUAL:
		return interval(5, 7, item_of((size_t)a % 100000));
	case ASCENDING:
		return interval(made, made + small, item);
	case DESCENDING:
		return interval(100000 - made, 100000 - made + small, item);
	case ONE_SIDED:
		return small % 2 ? interval(a, UINT64_MAX, item) : interval(0, b, item);
	case SHORT_AND_LONG:
		return interval(small, small + (b % 100 ? b % 5 : b % 1000), item);
	case ANYWHERE:
	case SHAPES:
		break;
	}
	return interval(a < b ? a : b, a < b ? b : a, item);
}

/* It grows, then shrinks until nothing is left, then grows again. */
static void run_shape(enum shape shape)
{
	static const unsigned adds_percent[] = {85, 10, 70};
	static struct model model;
	model_open(&model, "intervals");
	(void)fprintf(stderr, "shape %d\n", (int)shape);
	for (size_t phase = 0; phase < 3; phase++) {
		for (size_t turn = 0; turn < 7500; turn++) {
			bool adds = test_random_below(&model.random, 100) < adds_percent[phase];
			if (adds) {
				model_add(&model, make(&model, shape));
			} else if (model.count > 0) {
				model_remove_any(&model);
			}
			if (turn % 64 == 0) {
				match_intervals_verify(&model.intervals);
				assert_int_equal(model.intervals.count, model.count);
				model_stab_some(&model);
			}
		}
	}
	model_close(&model);
}

static void test_shapes(void **state)
{
	(void)state;
	for (unsigned shape = 0; shape < SHAPES; shape++) {
		run_shape((enum shape)shape);
	}
}

/* Each stab after each change, while there are few. */
static void test_few(void **state)
{
	(void)state;
	static struct model model;
	model_open(&model, "intervals, few");
	model_stab(&model, 0);
	for (size_t turn = 0; turn < 4000; turn++) {
		if (model.count < 80 && test_random_below(&model.random, 160) > model.count) {
			model_add(&model, make(&model, FEW_KEYS));
		} else {
			model_remove_any(&model);
		}
		match_intervals_verify(&model.intervals);
		for (uint64_t point = 0; point < 9; point++) {
			model_stab(&model, point);
		}
	}
	while (model.count > 0) {
		model_remove_any(&model);
	}
	assert_null(model.intervals.root);
	model_close(&model);
}

/* ---- a tall tree ---- */

#define TALL 60000U

static struct match_interval tall_interval(size_t i)
{
	return interval(i * 10, i * 10 + 25, item_of(i));
}

static void tall_stab(const struct match_intervals *intervals, size_t i, size_t step)
{
	static struct visited visited;
	visited = (struct visited){0};
	assert_int_equal(
		match_intervals_stab(intervals, i * 10 + 5, UINT64_MAX, visit, &visited), OK);
	size_t count = 0;
	for (size_t j = i >= 2 ? i - 2 : 0; j <= i; j++) {
		if (j % step == 0) {
			assert_ptr_equal(visited.items[count++], item_of(j));
		}
	}
	assert_int_equal(visited.count, count);
}

/* Thinned out, every second, then every fourth, ... the tree gets lower again. */
static void test_tall(void **state)
{
	(void)state;
	struct match_intervals intervals = {0};
	for (size_t i = 0; i < TALL; i++) {
		/* even ones upwards, odd ones downwards in between */
		struct match_interval interval =
			tall_interval(i < TALL / 2 ? 2 * i : 2 * (TALL - i) - 1);
		assert_int_equal(match_intervals_add(&intervals, &interval), OK);
	}
	match_intervals_verify(&intervals);
	assert_true(intervals.height >= 3);
	for (size_t step = 1; step < TALL; step *= 2) {
		for (size_t i = 0; i < TALL; i += 97) {
			tall_stab(&intervals, i, step);
		}
		for (size_t i = step; i < TALL; i += 2 * step) {
			struct match_interval interval = tall_interval(i);
			match_intervals_remove(&intervals, &interval);
		}
		match_intervals_verify(&intervals);
	}
	assert_int_equal(intervals.count, 1);
	assert_int_equal(intervals.height, 0);
	match_intervals_fini(&intervals);
}

/* ---- lack of memory ---- */

static size_t add_failing(struct model *model, struct match_interval interval)
{
	for (size_t fail_at = 0;; fail_at++) {
		struct failing failing;
		failing_start(&failing, fail_at);
		enum err err = match_intervals_add(&model->intervals, &interval);
		bool has_failed = failing_stop(&failing);
		if (err == OK) {
			model->list[model->count++] = interval;
			return fail_at;
		}
		assert_int_equal(err, ERR_MEMORY);
		assert_true(has_failed);
		assert_int_equal(model->intervals.count, model->count);
		match_intervals_verify(&model->intervals);
		model_stab(model, interval.low);
		model_stab(model, interval.high);
	}
}

/* Each allocation of each addition fails once, then the first of each removal. */
static void test_lack_of_memory(void **state)
{
	(void)state;
	static struct model model;
	model_open(&model, "intervals, lack of memory");
	size_t most = 0;
	while (model.count < 3000) {
		size_t failures = add_failing(&model, make(&model, ANYWHERE));
		most = failures > most ? failures : most;
	}
	assert_true(most >= 2); /* a new root, and the half of a node below it */
	match_intervals_verify(&model.intervals);
	while (model.count > 0) {
		struct failing failing;
		failing_start(&failing, 0);
		model_remove_any(&model);
		(void)failing_stop(&failing);
		if (model.count % 16 == 0) {
			match_intervals_verify(&model.intervals);
			model_stab_some(&model);
		}
	}
	assert_null(model.intervals.root);
	model_close(&model);
}

/* Counts what is in use. */
static void *counting_hook(void *ctx, void *pointer, size_t size)
{
	size_t *bytes = ctx;
	*bytes -= pointer ? malloc_usable_size(pointer) : 0;
	if (size == 0) {
		free(pointer);
		return NULL;
	}
	void *moved = realloc(pointer, size);
	assert_non_null(moved);
	*bytes += malloc_usable_size(moved);
	return moved;
}

/* Bytes per entry, of many and of those that are left of them. */
static void check_size(enum shape shape, size_t most, size_t most_left)
{
	static struct model model;
	static size_t bytes; /* outlives a failed test, as the hook does */
	bytes = 0;
	mem_set_hook(counting_hook, &bytes);
	model_open(&model, "intervals, size");
	model_add(&model, make(&model, shape));
	assert_in_range(bytes + sizeof(model.intervals), 1, 140);
	while (model.count < MODEL_MAX) {
		model_add(&model, make(&model, shape));
	}
	assert_in_range(bytes / model.count, 32, most);
	while (model.count > MODEL_MAX / 8) {
		model_remove_any(&model);
	}
	assert_in_range(bytes / model.count, 32, most_left);
	while (model.count > 1) {
		model_remove_any(&model);
	}
	assert_in_range(bytes + sizeof(model.intervals), 1, 140);
	model_remove_any(&model);
	assert_int_equal(bytes, 0);
	mem_set_hook(NULL, NULL);
}

static void test_size(void **state)
{
	(void)state;
	check_size(ANYWHERE, 42, 66);
	check_size(ASCENDING, 36, 66);
	check_size(DESCENDING, 53, 66);
	check_size(ENDS_EQUAL, 42, 66);
}

/* One of 25 stays, and the others go in order: no leaf may be left almost empty. */
static void check_thinned(bool upwards)
{
	struct match_intervals intervals = {0};
	static size_t bytes;
	bytes = 0;
	mem_set_hook(counting_hook, &bytes);
	for (size_t i = 0; i < TALL; i++) {
		struct match_interval interval = tall_interval(i);
		assert_int_equal(match_intervals_add(&intervals, &interval), OK);
	}
	for (size_t i = 0; i < TALL; i++) {
		struct match_interval interval = tall_interval(upwards ? i : TALL - 1 - i);
		if (interval.low % 250 != 0) {
			match_intervals_remove(&intervals, &interval);
		}
	}
	match_intervals_verify(&intervals);
	assert_int_equal(intervals.count, TALL / 25);
	assert_in_range(bytes / intervals.count, 32, 80);
	match_intervals_fini(&intervals);
	assert_int_equal(bytes, 0);
	mem_set_hook(NULL, NULL);
}

static void test_thinned(void **state)
{
	(void)state;
	check_thinned(true);
	check_thinned(false);
}

/* ---- keys ---- */

static void check_number_keys(double a, double b)
{
	uint64_t key_a = match_key_of_number(a);
	uint64_t key_b = match_key_of_number(b);
	if (key_a < key_b ? !(a < b) : key_a > key_b ? !(a > b) : a != b) {
		fail_msg("the keys of %a and %a do not stand as they do", a, b);
	}
}

static void test_number_keys(void **state)
{
	(void)state;
	static const double numbers[] = {-INFINITY, -DBL_MAX, -1e300, -2, -1.0000000000000002, -1,
		-DBL_MIN, -4.9e-324, -0.0, 0.0, 4.9e-324, DBL_MIN, 0.1, 1, 1.0000000000000002, 2,
		9007199254740992, 9223372036854775808.0, DBL_MAX, INFINITY};
	const size_t count = sizeof(numbers) / sizeof(numbers[0]);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			check_number_keys(numbers[i], numbers[j]);
		}
	}
	struct test_random random = test_random_start("number keys");
	double previous = 0;
	for (size_t i = 0; i < 100000; i++) {
		uint64_t bits = test_random_next(&random);
		double number = 0;
		memcpy(&number, &bits, sizeof(number));
		if (!isnan(number)) {
			check_number_keys(previous, number);
			check_number_keys(number, nextafter(number, 0));
			previous = number;
		}
	}
}

static void test_text_keys(void **state)
{
	(void)state;
	assert_int_equal(match_key_of_text((struct bytes){0}), 0);
	assert_int_equal(match_key_of_text(bytes_of("a")), (uint64_t)'a' << 56);
	assert_int_equal(match_key_of_text(bytes_of("abcdefgh")), 0x6162636465666768U);
	assert_int_equal(match_key_of_text(bytes_of("abcdefghi")), 0x6162636465666768U);
	assert_int_equal(
		match_key_of_text(bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff")), UINT64_MAX);
	struct test_random random = test_random_start("text keys");
	char texts[2][12];
	for (size_t i = 0; i < 100000; i++) {
		struct bytes runs[2];
		for (size_t k = 0; k < 2; k++) {
			runs[k] = (struct bytes){texts[k], (size_t)test_random_below(&random, 12)};
			for (size_t j = 0; j < runs[k].size; j++) {
				static const char letters[] = {
					0, 1, 'a', 'b', (char)0x80, (char)0xff};
				texts[k][j] = letters[test_random_below(&random, sizeof(letters))];
			}
		}
		uint64_t key_a = match_key_of_text(runs[0]);
		uint64_t key_b = match_key_of_text(runs[1]);
		int order = bytes_compare(runs[0], runs[1]);
		assert_true(order < 0       ? key_a <= key_b
				: order > 0 ? key_a >= key_b
					    : key_a == key_b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_tall),
		cmocka_unit_test(test_lack_of_memory),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_thinned),
		cmocka_unit_test(test_number_keys),
		cmocka_unit_test(test_text_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
