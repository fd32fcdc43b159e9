/*
 * base: what every module stands on: errors, memory, bytes, arena, pool, map, ring, log.
 * Owns: nothing; every object belongs to its caller.
 * Threads: none of these is shared, except a ring (one producer, one consumer).
 * Errors: `enum err`; running out of memory is ERR_MEMORY and changes nothing.
 * Invariant: base knows no noun of the domain.
 */
#ifndef BASE_H
#define BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, arguments) __attribute__((format(printf, text, arguments)))

/* ---- errors ---------------------------------------------------------------------------------- */

#define ERR_LIST(X)                                                                                \
	X(OK, "ok")                                                                                \
	X(ERR_MEMORY, "out of memory")                                                             \
	X(ERR_INVALID, "invalid argument")                                                         \
	X(ERR_LIMIT, "limit reached")                                                              \
	X(ERR_FULL, "full, try again later")                                                       \
	X(ERR_EMPTY, "nothing there yet")                                                          \
	X(ERR_EXISTS, "exists already")                                                            \
	X(ERR_NOT_FOUND, "not found")                                                              \
	X(ERR_UNSUPPORTED, "not supported")                                                        \
	X(ERR_CORRUPT, "malformed data")                                                           \
	X(ERR_IO, "input or output failed")                                                        \
	X(ERR_CLOSED, "closed")                                                                    \
	X(ERR_CANCELLED, "cancelled")                                                              \
	X(ERR_TIMEOUT, "timed out")                                                                \
	X(ERR_UNAVAILABLE, "not available")                                                        \
	X(ERR_INTERNAL, "internal error")

enum err {
#define X(code, text) code,
	ERR_LIST(X)
#undef X
		ERR_COUNT
};

/* Static text of a code, never NULL. */
const char *err_text(enum err code);

/* What a person must read: the cause, and where in the text that they wrote. */
struct err_info {
	enum err code;
	uint32_t position; /* offset in bytes from the start of the text, 0 if there is none */
	char text[240];    /* NUL-terminated, cut if longer */
};

/* Fills `info` (which may be NULL) and returns `code`, so that `return err_set(...)` reads well. */
enum err err_set(struct err_info *info, enum err code, uint32_t position, const char *format, ...)
	PRINTF_LIKE(4, 5);

/* A bug of ours: prints the place and aborts, in release too. Never on input. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
_Noreturn void check_failed(const char *condition, const char *file, int line);

#ifdef STREAMER_DEBUG
#define debug_check(condition) check(condition)
#else
#define debug_check(condition) ((void)0)
#endif

/* ---- memory ---------------------------------------------------------------------------------- */

/* realloc-shaped: size 0 frees and returns NULL; NULL on lack. */
typedef void *(*mem_hook_fn)(void *ctx, void *pointer, size_t size);

/* Replaces the allocator for the whole process. Call before anything else is allocated. */
void mem_set_hook(mem_hook_fn hook, void *ctx);

void *mem_alloc(size_t size) MUST_CHECK;                  /* uninitialised; NULL on lack */
void *mem_calloc(size_t count, size_t size) MUST_CHECK;   /* zeroed; NULL on lack or overflow */
void *mem_realloc(void *pointer, size_t size) MUST_CHECK; /* size > 0; NULL on lack, old kept */
void mem_free(void *pointer);                             /* NULL is fine */

/*
 * Bytes that this thread has allocated less those that it has freed, as the allocator rounds them;
 * it wraps around, and under a test's hook knows only what it is told by mem_note. Only the
 * difference between two calls says something: what was done between them has taken so much, or
 * given back.
 */
size_t mem_used(void);
/* What the allocator does not see, such as a pool's pieces or another library's memory, about: so
 * much more, or fewer, is in use on behalf of this thread. */
void mem_note(size_t more, size_t fewer);

/* ---- bytes ----------------------------------------------------------------------------------- */

/* A borrowed run of bytes, not NUL-terminated. Zeroed is the empty run. */
struct bytes {
	const char *data;
	size_t size;
};

struct bytes bytes_of(const char *text); /* of a NUL-terminated string; NULL gives empty */
bool bytes_equal(struct bytes a, struct bytes b);
int bytes_compare(struct bytes a, struct bytes b);      /* memcmp order, shorter first */
uint64_t bytes_hash(struct bytes bytes, uint64_t seed); /* XXH3, 64 bits */
bool bytes_are_utf8(struct bytes bytes);
size_t bytes_utf8_prefix(struct bytes bytes); /* size of the longest well-formed UTF-8 prefix */

/* For printf's "%.*s". */
#define BYTES_FORMAT(b) (int)((b).size > 4096 ? 4096 : (b).size), (b).data ? (b).data : ""

/* A growing run of bytes with a single owner. Zeroed is empty and valid. */
struct buffer {
	char *data;
	size_t size;
	size_t capacity;
};

void buffer_fini(struct buffer *buffer);
enum err buffer_reserve(struct buffer *buffer, size_t more) MUST_CHECK; /* room for `more` bytes */
enum err buffer_append(struct buffer *buffer, struct bytes bytes) MUST_CHECK;
enum err buffer_append_text(struct buffer *buffer, const char *text) MUST_CHECK;
enum err buffer_printf(struct buffer *buffer, const char *format, ...) MUST_CHECK PRINTF_LIKE(2, 3);
struct bytes buffer_bytes(const struct buffer *buffer); /* valid until the buffer changes */

/* ---- arena ----------------------------------------------------------------------------------- */

/* Many small pieces, freed whole. Zeroed is empty and valid. */
struct arena_block;
struct arena {
	struct arena_block *block; /* the newest, linked to older ones */
	size_t used;               /* of the newest block */
	size_t total;              /* bytes taken from the allocator */
};

void arena_fini(struct arena *arena);
void arena_reset(struct arena *arena); /* keeps the largest block for the next round */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK; /* 16-aligned; NULL on lack */
/* What is allocated next comes out of one block, up to `size` bytes of it. */
enum err arena_reserve(struct arena *arena, size_t size) MUST_CHECK;
/* A copy of `bytes`, with a NUL behind it. Data is NULL on lack only. */
struct bytes arena_copy(struct arena *arena, struct bytes bytes) MUST_CHECK;

/* ---- pool ------------------------------------------------------------------------------------ */

#define POOL_PIECE_MAX 512 /* bytes; larger ones come from the allocator */

/*
 * Small pieces in great numbers, without a header for each, whose coming and going costs the same
 * however many there are. Zeroed is empty and valid; it must not move while it has pieces. What
 * mem_used knows of it are the pieces; room that others have left is there for the next.
 */
struct pool {
	struct pool_link *slabs[POOL_PIECE_MAX / 8]; /* with room, for each size */
	struct pool_link *blocks;                    /* with slabs to give, and pieces in use */
	struct pool_link *empty;                     /* blocks without pieces */
	size_t block_bytes;                          /* of the newest block */
};

void *pool_alloc(struct pool *pool, size_t size) MUST_CHECK; /* 8-aligned; NULL on lack */
void pool_free(struct pool *pool, void *piece, size_t size); /* the size that was asked for */
/* A piece of `size` with what is in the old one (NULL: there is none), which it takes the place of;
 * NULL on lack, and the old one stays. */
void *pool_resize(struct pool *pool, void *piece, size_t old_size, size_t size) MUST_CHECK;
/* Gives a block back that has no pieces, unless it is the last such; whether there are more. */
bool pool_trim(struct pool *pool);
void pool_fini(struct pool *pool); /* all pieces have been freed */

/* ---- map ------------------------------------------------------------------------------------- */

/*
 * Table of items, 8-aligned, that the caller owns, in which no single call moves more than some
 * thousand slots, however many items there are, and none waits for memory by the megabyte. A type's
 * hashes are those of one key under one seed, whether computed from the item or the key; the seed
 * is secret. If many keys have one hash for a seed the map goes on to another by itself.
 */
struct map_type {
	uint64_t (*hash_key)(const void *key, uint64_t seed);
	uint64_t (*hash_item)(const void *item, uint64_t seed);
	bool (*equal)(const void *item, const void *key);
};
struct map_table {
	struct map_entry *entries; /* 2^depth of them; NULL: empty */
	uint32_t depth;
	uint32_t deepest; /* segments that stand in one entry only */
	size_t drained;   /* entries at the end whose segments have been emptied for good */
};
struct map {
	size_t count;
	size_t moved; /* slots that the last insertion or removal moved, its own neighbours apart */

	/* Its own. */
	const struct map_type *type;
	uint64_t seed;
	struct map_table table;
	struct map_old *old; /* of the seed before, while its items are moved; else NULL */
	size_t inserted;     /* with this seed */
};

void map_init(struct map *map, const struct map_type *type, uint64_t seed); /* takes no memory */
void map_fini(struct map *map); /* items are the caller's; it is empty then, as after init */
void *map_find(const struct map *map, const void *key);
/*
 * map_find in parts: the hash, which holds until the next insertion; what it leads to is fetched
 * while something else is done; the look-up.
 */
uint64_t map_hash(const struct map *map, const void *key);
void map_prefetch(const struct map *map, uint64_t hash);
void map_prefetch_item(const struct map *map, uint64_t hash); /* some time after map_prefetch */
void *map_find_hashed(const struct map *map, uint64_t hash, const void *key);
/* Looks for no twin. ERR_MEMORY changes nothing. */
enum err map_insert(struct map *map, void *item) MUST_CHECK;
bool map_remove(struct map *map, const void *item); /* by pointer; false: it is not there */
/* Walks all items; start with *cursor = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *map, size_t *cursor);
/*
 * Takes any item out, without a look at it, so that a large map is taken apart a little at a time;
 * NULL: it is empty. Until then nothing else is done with it.
 */
void *map_drain(struct map *map);

/* ---- ring ------------------------------------------------------------------------------------ */

/* Bounded queue of pointers between two threads: one pushes, one pops; no lock, no waiting. */
struct ring;

enum err ring_new(size_t capacity, struct ring **ret_ring) MUST_CHECK; /* rounded up to 2^n */
void ring_free(struct ring *ring);
enum err ring_push(struct ring *ring, void *item) MUST_CHECK;       /* producer; ERR_FULL */
size_t ring_pop(struct ring *ring, void **items, size_t items_max); /* consumer; 0 if empty */
size_t ring_room(const struct ring *ring);                          /* producer's view, exact */
size_t ring_count(const struct ring *ring);                         /* either side, a snapshot */

/* ---- log ------------------------------------------------------------------------------------- */

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/*
 * Where lines go. One write(2) per line, so lines of several threads never mix:
 *   2026-11-24T00:17:05.123Z warning ingest: puller away, address=localhost:9000 ...
 * `fd` < 0 is silent. A NULL log is silent too. Control characters in arguments are printed as '?'.
 */
struct log {
	int fd;
	enum log_level least;
};
void log_write(const struct log *log, int64_t wall_us, enum log_level level, const char *format,
	...) PRINTF_LIKE(4, 5);

#endif
