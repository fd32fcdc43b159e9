/* base: errors, memory, bytes, buffer, arena, map, ring and log through base.h. */
#include "base.h"

#include "failing.h"
#include "random.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT(literal) ((struct bytes){(literal), sizeof(literal) - 1})

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_error_texts(void **state)
{
	(void)state;
	assert_string_equal(err_text(OK), "ok");
	for (unsigned i = 0; i < ERR_COUNT; i++) {
		assert_non_null(err_text((enum err)i));
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(err_text((enum err)i), err_text((enum err)j));
		}
	}
	assert_string_equal(err_text(ERR_COUNT), "unknown error");
}

static void test_error_info(void **state)
{
	(void)state;
	struct err_info info;
	assert_int_equal(err_set(&info, ERR_LIMIT, 7, "%d of %s", 3, "four"), ERR_LIMIT);
	assert_int_equal(info.code, ERR_LIMIT);
	assert_int_equal(info.position, 7);
	assert_string_equal(info.text, "3 of four");
	assert_int_equal(err_set(NULL, ERR_IO, 0, "nobody reads this"), ERR_IO);
	assert_int_equal(err_set(&info, ERR_IO, 0, "%0500d", 1), ERR_IO);
	assert_int_equal(strlen(info.text), sizeof(info.text) - 1);
}

static void test_check_aborts(void **state)
{
	(void)state;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(pipe_fds[1], STDERR_FILENO);
		check(1 + 1 == 3);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	char text[256] = {0};
	assert_true(read(pipe_fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "check failed: 1 + 1 == 3"));
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	check(1 + 1 == 2);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_memory(void **state)
{
	(void)state;
	for (int hooked = 0; hooked < 2; hooked++) {
		struct failing failing;
		if (hooked) {
			failing_start(&failing, SIZE_MAX);
		}
		char *piece = mem_alloc(10);
		assert_non_null(piece);
		memset(piece, 'x', 10);
		piece = mem_realloc(piece, 1000);
		assert_non_null(piece);
		assert_memory_equal(piece, "xxxxxxxxxx", 10);
		void *empty = mem_alloc(0);
		assert_non_null(empty);
		unsigned char *zeroed = mem_calloc(100, 3);
		assert_non_null(zeroed);
		for (int i = 0; i < 300; i++) {
			assert_int_equal(zeroed[i], 0);
		}
		assert_null(mem_calloc(SIZE_MAX / 2, 3));
		if (hooked) {
			assert_int_equal(failing.live, 3);
		}
		mem_free(zeroed);
		mem_free(empty);
		mem_free(piece);
		mem_free(NULL);
		if (hooked) {
			assert_int_equal(failing.live, 0);
			(void)failing_stop(&failing);
		}
	}
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void test_bytes(void **state)
{
	(void)state;
	struct bytes empty = {0};
	assert_int_equal(bytes_of(NULL).size, 0);
	assert_int_equal(bytes_of("abc").size, 3);
	assert_true(bytes_equal(empty, TEXT("")));
	assert_true(bytes_equal(TEXT("a\0b"), TEXT("a\0b")));
	assert_false(bytes_equal(TEXT("a\0b"), TEXT("a\0c")));
	assert_false(bytes_equal(TEXT("a"), TEXT("ab")));
	assert_int_equal(bytes_compare(empty, empty), 0);
	assert_true(bytes_compare(empty, TEXT("a")) < 0);
	assert_true(bytes_compare(TEXT("ab"), TEXT("a")) > 0);
	assert_true(bytes_compare(TEXT("a"), TEXT("\xff")) < 0);
	assert_true(bytes_compare(TEXT("b"), TEXT("abc")) > 0);
	assert_true(bytes_hash(TEXT("a"), 1) == bytes_hash(TEXT("a"), 1));
	assert_true(bytes_hash(TEXT("a"), 1) != bytes_hash(TEXT("a"), 2));
	assert_true(bytes_hash(TEXT("a"), 1) != bytes_hash(TEXT("b"), 1));
	assert_true(bytes_hash(empty, 3) == bytes_hash(TEXT(""), 3));
	/* The hash is XXH3: its published value for the empty input and seed 0. */
	assert_true(bytes_hash(empty, 0) == UINT64_C(0x2D06800538D394C2));
}

static size_t encode(uint32_t point, char utf8[4])
{
	if (point < 0x80) {
		utf8[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		utf8[0] = (char)(0xC0 | point >> 6);
		utf8[1] = (char)(0x80 | (point & 0x3F));
		return 2;
	}
	if (point < 0x10000) {
		utf8[0] = (char)(0xE0 | point >> 12);
		utf8[1] = (char)(0x80 | (point >> 6 & 0x3F));
		utf8[2] = (char)(0x80 | (point & 0x3F));
		return 3;
	}
	utf8[0] = (char)(0xF0 | point >> 18);
	utf8[1] = (char)(0x80 | (point >> 12 & 0x3F));
	utf8[2] = (char)(0x80 | (point >> 6 & 0x3F));
	utf8[3] = (char)(0x80 | (point & 0x3F));
	return 4;
}

static void test_utf8_accepts_all_code_points(void **state)
{
	(void)state;
	for (uint32_t point = 0; point < 0x200000; point++) {
		char utf8[4];
		size_t size = encode(point, utf8);
		bool valid = point < 0xD800 || (point > 0xDFFF && point < 0x110000);
		if (bytes_are_utf8((struct bytes){utf8, size}) != valid) {
			fail_msg("U+%04X", point);
		}
		if (size > 1 && bytes_are_utf8((struct bytes){utf8, size - 1})) {
			fail_msg("U+%04X without its last byte", point);
		}
	}
}

static void test_utf8_refuses(void **state)
{
	(void)state;
	static const char *const refused[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF",
		"\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
		"\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xFE", "\xC3(",
		"\xE2(\xA1", "\xE2\x82(", "\xF0\x9F\x98(", "\xC3\xC3"};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		/* At every distance from the start, so that the step of eight bytes is met. */
		for (size_t before = 0; before < 20; before++) {
			char text[32];
			memset(text, 'a', sizeof(text));
			size_t size = strlen(refused[i]);
			memcpy(text + before, refused[i], size);
			struct bytes bytes = {text, before + size + 4};
			assert_false(bytes_are_utf8(bytes));
			assert_true(bytes_utf8_prefix(bytes) >= before);
			assert_true(bytes_utf8_prefix(bytes) < before + size);
		}
	}
	assert_true(bytes_are_utf8((struct bytes){NULL, 0}));
	assert_true(bytes_are_utf8(TEXT("abcdefgh\0ijklmnop")));
	assert_true(bytes_are_utf8(TEXT("Gr\xC3\xBC\xC3\x9F"
					"e aus K\xC3\xB6ln \xF0\x9F\x98\x80")));
}

/* ---- buffer ---------------------------------------------------------------------------------- */

static void test_buffer(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	assert_int_equal(buffer_append(&buffer, (struct bytes){NULL, 0}), OK);
	assert_int_equal(buffer_append_text(&buffer, "one"), OK);
	assert_int_equal(buffer_printf(&buffer, ", %s, %d", "two", 3), OK);
	assert_true(bytes_equal(buffer_bytes(&buffer), TEXT("one, two, 3")));
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(buffer_printf(&buffer, "%d ", i), OK);
	}
	assert_int_equal(buffer.size, 11 + 10 * 2 + 90 * 3 + 900 * 4 + 9000 * 5);
	assert_int_equal(buffer_reserve(&buffer, SIZE_MAX - 10), ERR_MEMORY);
	assert_int_equal(buffer_reserve(&buffer, 100), OK);
	assert_true(buffer.capacity - buffer.size >= 100);
	buffer_fini(&buffer);
	assert_null(buffer.data);
	assert_int_equal(buffer.capacity, 0);
}

static void test_buffer_without_memory(void **state)
{
	(void)state;
	struct buffer buffer = {0};
	assert_int_equal(buffer_append_text(&buffer, "kept"), OK);
	char large[1000] = {0};
	struct failing failing;
	failing_start(&failing, 0);
	assert_int_equal(buffer_append(&buffer, (struct bytes){large, sizeof(large)}), ERR_MEMORY);
	assert_true(failing_stop(&failing));
	assert_true(bytes_equal(buffer_bytes(&buffer), TEXT("kept")));
	failing_start(&failing, 0);
	assert_int_equal(buffer_printf(&buffer, "%1000d", 1), ERR_MEMORY);
	assert_true(failing_stop(&failing));
	assert_true(bytes_equal(buffer_bytes(&buffer), TEXT("kept")));
	buffer_fini(&buffer);
}

/* ---- arena ----------------------------------------------------------------------------------- */

static void test_arena_reserve(void **state)
{
	(void)state;
	struct arena arena = {0};
	assert_int_equal(arena_reserve(&arena, 2985), OK);
	size_t total = arena.total;
	char *first = arena_alloc(&arena, 1600);
	char *second = arena_alloc(&arena, 1392);
	assert_non_null(first);
	assert_ptr_equal(second, first + 1600);
	assert_int_equal(arena.total, total);
	assert_int_equal(arena_reserve(&arena, 1), OK);
	assert_true(arena.total > total); /* there was not a byte left */
	total = arena.total;
	assert_int_equal(arena_reserve(&arena, 16), OK);
	assert_int_equal(arena.total, total);
	memset(first, 1, 2992); /* what was given out before stays */
	assert_int_equal(arena_reserve(&arena, SIZE_MAX), ERR_MEMORY);
	arena_fini(&arena);
}

static void test_arena(void **state)
{
	(void)state;
	struct test_random random = test_random_start("arena");
	enum { PIECES = 2000 };
	static unsigned char *pieces[PIECES];
	static size_t sizes[PIECES];
	struct arena arena = {0};
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < PIECES; i++) {
			sizes[i] = test_random_below(&random, i % 100 == 0 ? 300000 : 200);
			pieces[i] = arena_alloc(&arena, sizes[i]);
			assert_non_null(pieces[i]);
			assert_int_equal((uintptr_t)pieces[i] % 16, 0);
			memset(pieces[i], (int)(i & 0xFF), sizes[i]);
		}
		for (size_t i = 0; i < PIECES; i++) {
			for (size_t j = 0; j < sizes[i]; j++) {
				if (pieces[i][j] != (i & 0xFF)) {
					fail_msg("piece %zu was overwritten", i);
				}
			}
		}
		size_t before = arena.total;
		arena_reset(&arena);
		assert_true(arena.total > 0 && arena.total < before);
	}
	arena_fini(&arena);
	assert_int_equal(arena.total, 0);
	arena_reset(&arena);
	arena_fini(&arena);
}

static void test_arena_keeps_one_block(void **state)
{
	(void)state;
	struct failing failing;
	struct arena arena = {0};
	failing_start(&failing, SIZE_MAX);
	for (int i = 0; i < 1000; i++) {
		assert_non_null(arena_alloc(&arena, 100));
	}
	assert_true(failing.live > 1);
	arena_reset(&arena);
	assert_int_equal(failing.live, 1);
	size_t count = failing.count;
	assert_non_null(arena_alloc(&arena, 1000));
	assert_int_equal(failing.count, count);
	arena_fini(&arena);
	assert_int_equal(failing.live, 0);
	(void)failing_stop(&failing);
}

static void test_arena_copy(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct bytes copy = arena_copy(&arena, TEXT("text"));
	assert_true(bytes_equal(copy, TEXT("text")));
	assert_int_equal(copy.data[4], '\0');
	copy = arena_copy(&arena, (struct bytes){NULL, 0});
	assert_non_null(copy.data);
	assert_int_equal(copy.size, 0);
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_fini(&arena);
}

static void test_arena_without_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (size_t fail_at = 0; failed; fail_at++) {
		struct arena arena = {0};
		struct failing failing;
		failing_start(&failing, fail_at);
		int lacks = 0;
		for (int i = 0; i < 100; i++) {
			lacks += arena_copy(&arena, TEXT("0123456789")).data == NULL;
			lacks += arena_alloc(&arena, 5000) == NULL;
		}
		arena_fini(&arena);
		assert_int_equal(failing.live, 0);
		failed = failing_stop(&failing);
		assert_int_equal(lacks, failed ? 1 : 0);
	}
}

/* ---- ring ------------------------------------------------------------------------------------ */

static void test_ring_borders(void **state)
{
	(void)state;
	struct ring *ring = NULL;
	assert_int_equal(ring_new(0, &ring), ERR_INVALID);
	assert_int_equal(ring_new(SIZE_MAX, &ring), ERR_MEMORY);
	struct failing failing;
	failing_start(&failing, 0);
	assert_int_equal(ring_new(4, &ring), ERR_MEMORY);
	assert_true(failing_stop(&failing));
	assert_null(ring);
	ring_free(NULL);
	assert_int_equal(ring_new(5, &ring), OK);
	char items[20];
	void *popped[8];
	for (int round = 0; round < 5; round++) {
		assert_int_equal(ring_pop(ring, popped, 8), 0);
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(ring_room(ring), 8 - i);
			assert_int_equal(ring_count(ring), i);
			assert_int_equal(ring_push(ring, &items[i]), OK);
		}
		assert_int_equal(ring_push(ring, &items[8]), ERR_FULL);
		assert_int_equal(ring_pop(ring, popped, 3), 3);
		assert_ptr_equal(popped[2], &items[2]);
		assert_int_equal(ring_room(ring), 3);
		assert_int_equal(ring_push(ring, &items[8]), OK);
		assert_int_equal(ring_pop(ring, popped, 8), 6);
		for (size_t i = 0; i < 6; i++) {
			assert_ptr_equal(popped[i], &items[i + 3]);
		}
	}
	ring_free(ring);
}

enum { RING_ITEMS = 1000000 };
static char ring_items[RING_ITEMS];

static void *produce(void *ctx)
{
	struct ring *ring = ctx;
	for (size_t i = 0; i < RING_ITEMS; i++) {
		while (ring_push(ring, &ring_items[i]) != OK) {
			(void)sched_yield();
		}
	}
	return NULL;
}

static void test_ring_between_threads(void **state)
{
	(void)state;
	struct ring *ring = NULL;
	assert_int_equal(ring_new(64, &ring), OK);
	pthread_t producer;
	assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
	size_t next = 0;
	while (next < RING_ITEMS) {
		void *items[16];
		size_t count = ring_pop(ring, items, 1 + next % 16);
		for (size_t i = 0; i < count; i++) {
			if (items[i] != &ring_items[next++]) {
				fail_msg("item %zu out of order", next - 1);
			}
		}
		if (count == 0) {
			(void)sched_yield();
		}
		assert_true(ring_count(ring) <= 64);
	}
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(ring_count(ring), 0);
	ring_free(ring);
}

/* ---- log ------------------------------------------------------------------------------------- */

static void test_log(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	struct log log = {.fd = fds[1], .least = LOG_WARNING};
	log_write(&log, INT64_C(1795479425123999), LOG_INFO, "not wanted");
	log_write(NULL, 0, LOG_ERROR, "no log");
	log_write(&(struct log){.fd = -1, .least = LOG_DEBUG}, 0, LOG_ERROR, "silent");
	log_write(
		&log, INT64_C(1795479425123999), LOG_WARNING, "ingest: away, name=%s", "a\nb\x7F");
	log_write(&log, -1, LOG_ERROR, "before 1970");
	char text[8192] = {0};
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text,
		"2026-11-24T00:17:05.123Z warning ingest: away, name=a?b?\n"
		"1969-12-31T23:59:59.999Z error before 1970\n");
	memset(text, 0, sizeof(text));
	log_write(&log, 0, LOG_ERROR, "%08000d", 1);
	ssize_t size = read(fds[0], text, sizeof(text) - 1);
	assert_true(size > 1000 && size <= 4096);
	assert_int_equal(text[size - 1], '\n');
	assert_int_equal(text[size - 2], '0');
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void test_memory_in_use(void **state)
{
	(void)state;
	size_t before = mem_used();
	char *piece = mem_alloc(1000);
	assert_non_null(piece);
	assert_in_range(mem_used() - before, 1000, 1100);
	char *moved = mem_realloc(piece, 50000);
	assert_non_null(moved);
	assert_in_range(mem_used() - before, 50000, 60000);
	void *zeroed = mem_calloc(100, 10);
	assert_non_null(zeroed);
	assert_in_range(mem_used() - before, 51000, 61000);
	mem_free(moved);
	mem_free(zeroed);
	mem_free(NULL);
	assert_int_equal(mem_used() - before, 0);
	mem_note(70, 0);
	assert_int_equal(mem_used() - before, 70);
	mem_note(0, 70);
	assert_int_equal(mem_used() - before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_texts),
		cmocka_unit_test(test_error_info),
		cmocka_unit_test(test_check_aborts),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_utf8_accepts_all_code_points),
		cmocka_unit_test(test_utf8_refuses),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_buffer_without_memory),
		cmocka_unit_test(test_arena_reserve),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_arena_keeps_one_block),
		cmocka_unit_test(test_arena_copy),
		cmocka_unit_test(test_arena_without_memory),
		cmocka_unit_test(test_ring_borders),
		cmocka_unit_test(test_ring_between_threads),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_memory_in_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
