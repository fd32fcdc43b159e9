/* The pool against a model of what it has given out; each piece is full of a mark of its own. */
#include "base.h"
#include "failing.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define PIECES 20000
#define STEPS 400000

struct piece {
	unsigned char *memory; /* NULL: none */
	size_t size;
	unsigned char mark;
};

static struct piece pieces[PIECES];

static void take(struct pool *pool, struct piece *piece, size_t size, unsigned char mark)
{
	*piece = (struct piece){pool_alloc(pool, size), size, mark};
	assert_non_null(piece->memory);
	assert_int_equal((uintptr_t)piece->memory % 8, 0);
	memset(piece->memory, mark, size);
}

/* What nobody else has written to. */
static void give(struct pool *pool, struct piece *piece)
{
	for (size_t i = 0; i < piece->size; i++) {
		assert_int_equal(piece->memory[i], piece->mark);
	}
	pool_free(pool, piece->memory, piece->size);
	*piece = (struct piece){0};
}

/* Mostly small; some are the allocator's. */
static size_t any_size(struct test_random *random)
{
	bool is_large = test_random_below(random, 8) == 0;
	return 1 + test_random_below(random, is_large ? 2 * POOL_PIECE_MAX : 128);
}

static void resize(struct pool *pool, struct piece *piece, size_t size)
{
	piece->memory = pool_resize(pool, piece->memory, piece->size, size);
	assert_non_null(piece->memory);
	for (size_t i = 0; i < piece->size && i < size; i++) {
		assert_int_equal(piece->memory[i], piece->mark);
	}
	memset(piece->memory, piece->mark, size);
	piece->size = size;
}

static void test_pieces_keep_apart(void **state)
{
	(void)state;
	struct test_random random = test_random_start("test_pool");
	struct pool pool = {0};
	for (size_t i = 0; i < STEPS; i++) {
		/* Waves: many more come than go, and then the other way round. */
		bool grows = i / (STEPS / 8) % 2 == 0;
		struct piece *piece = &pieces[test_random_below(&random, PIECES)];
		if (piece->memory && (!grows || test_random_below(&random, 4) == 0)) {
			give(&pool, piece);
		} else if (!piece->memory && (grows || test_random_below(&random, 4) == 0)) {
			take(&pool, piece, any_size(&random),
				(unsigned char)test_random_next(&random));
		} else if (piece->memory) {
			resize(&pool, piece, any_size(&random));
		}
	}
	for (size_t i = 0; i < PIECES; i++) {
		if (pieces[i].memory) {
			give(&pool, &pieces[i]);
		}
	}
	pool_fini(&pool);
}

/* However they go, nearly all memory goes with them, and what is kept is used again. */
static void test_memory_is_given_back(void **state)
{
	(void)state;
	struct failing failing;
	failing_start(&failing, SIZE_MAX);
	struct pool pool = {0};
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < PIECES; i++) {
			take(&pool, &pieces[i], 200, (unsigned char)i);
		}
		assert_in_range(failing.live, 4, 9); /* four mebibytes, in blocks of up to one */
		for (size_t i = 0; i < PIECES; i++) {
			give(&pool, &pieces[i * 7919 % PIECES]);
		}
		size_t blocks = failing.live;
		while (pool_trim(&pool)) {
			assert_int_equal(failing.live, --blocks); /* one at a time */
		}
		assert_int_equal(failing.live, 1);
	}
	size_t count = failing.count;
	take(&pool, &pieces[0], 8, 1); /* of another size: from what all others left */
	assert_int_equal(failing.count, count);
	give(&pool, &pieces[0]);
	pool_fini(&pool);
	assert_int_equal(failing.live, 0);
	assert_false(failing_stop(&failing));
}

/* Pieces count when they are in use, and blocks do not. */
static void test_what_is_in_use(void **state)
{
	(void)state;
	struct pool pool = {0};
	size_t before = mem_used();
	for (size_t i = 0; i < PIECES; i++) {
		take(&pool, &pieces[i], 100, (unsigned char)i);
		assert_int_equal(mem_used() - before, (i + 1) * 104);
	}
	for (size_t i = 0; i < PIECES; i++) {
		give(&pool, &pieces[i]);
		(void)pool_trim(&pool);
		assert_int_equal(mem_used() - before, (PIECES - i - 1) * 104);
	}
	take(&pool, &pieces[0], POOL_PIECE_MAX + 1, 1); /* the allocator's, which rounds it */
	assert_in_range(mem_used() - before, POOL_PIECE_MAX + 1, POOL_PIECE_MAX + 100);
	give(&pool, &pieces[0]);
	pool_fini(&pool);
	assert_int_equal(mem_used() - before, 0);
}

static void test_a_lack_changes_nothing(void **state)
{
	(void)state;
	struct failing failing;
	for (size_t fail_at = 0; fail_at < 3; fail_at++) {
		struct pool pool = {0};
		size_t count = 0;
		failing_start(&failing, fail_at);
		for (; count < PIECES; count++) {
			unsigned char *memory = pool_alloc(&pool, 400);
			if (!memory) {
				break;
			}
			memset(memory, (unsigned char)count, 400);
			pieces[count] = (struct piece){memory, 400, (unsigned char)count};
		}
		assert_true(count < PIECES);
		assert_int_equal(count > 0, fail_at > 0);
		take(&pool, &pieces[count], 400, 3); /* there is memory again */
		for (size_t i = 0; i <= count; i++) {
			give(&pool, &pieces[i]);
		}
		pool_fini(&pool);
		assert_int_equal(failing.live, 0);
		assert_true(failing_stop(&failing));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_keep_apart),
		cmocka_unit_test(test_memory_is_given_back),
		cmocka_unit_test(test_what_is_in_use),
		cmocka_unit_test(test_a_lack_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
