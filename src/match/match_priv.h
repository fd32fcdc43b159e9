/*
 * What the files of match share, from what is smallest:
 *   path       a field that some query reads, a node of its collection's tree of names
 *   predicate  one comparison of a path with a constant, or one program; stored once
 *   code       a query's tree over predicates
 *   access     where a query is filed: under predicates of which one holds if the query holds
 *   look-up    a batch of documents -> predicates that hold -> queries filed there -> verified
 */
#ifndef MATCH_PRIV_H
#define MATCH_PRIV_H

#include "compile_priv.h"
#include "evaluate_priv.h"
#include "members_priv.h"
#include "scope_priv.h"

/* Most of what is looked at begins in one line of the cache and ends in the next. */
static inline void match_prefetch(const void *memory)
{
	__builtin_prefetch(memory);
	__builtin_prefetch((const char *)memory + 64);
}

struct match_collection;
struct match_facet;
struct match_index;
struct match_path;
struct match_predicate;

/* ---- paths (paths.c) ---- */

#define MATCH_CHILDREN_SEARCHED 8 /* with more, a name is looked up in the table of all paths */
#define MATCH_PREFIX_MAX 64       /* bytes: a longer prefix is looked up by its beginning */

struct match_path {
	struct match_collection *collection;
	struct match_path *parent; /* NULL: the document itself, or its id */
	struct match_path *first_child, *next, *previous;
	uint32_t children_count;
	uint32_t holders; /* predicates, facets and children */
	struct bytes name;
	uint32_t words, equal_words; /* of codes: comparisons of it, and those by `==` */
	uint32_t bit;                /* its own among `fields` of match_needs, or shared */

	/* What is to be looked up where a document has it: predicates with a scope in use. */
	uint32_t equals, elements;
	uint64_t prefix_lengths;        /* bit n: prefixes of n + 1 bytes */
	uint32_t *prefixes;             /* how many, by length; NULL: none yet */
	struct match_predicate *exists; /* in use or not; NULL: there is none */

	uint64_t walk; /* the walk that found it last, and where it stands among what that found */
	uint32_t found;
	uint32_t cells_max; /* of the constants that `equals` and `elements` have had */
	uint64_t stamp;     /* of the event at hand, which has the value */
	const struct value *value;

	char memory[];
};

enum err match_path_get(struct match_index *index, struct match_collection *collection,
	const struct cel_field *field, struct match_path **ret_path) MUST_CHECK;
void match_path_hold(struct match_path *path);
void match_path_put(struct match_index *index, struct match_path *path);
/* NULL: nobody reads it. */
struct match_path *match_path_child(
	const struct match_index *index, const struct match_path *parent, struct bytes name);

/* Finds the value of just this path, below its root's: what the walk of a document does for all. */
void match_path_read(struct match_path *path, uint64_t stamp);

/* ---- predicates (predicates.c) ---- */

struct match_predicate {
	uint64_t memo; /* stamp of the event << 8 | was collected << 7 | failure << 2 | outcome */
	union {
		struct match_path *path;
		struct cel_program *program; /* kind is CEL_PROGRAM */
	} of;
	struct match_scope scope;
	uint32_t holders; /* words of codes, and accesses */
	uint8_t kind;     /* enum cel_kind */
	bool is_point;    /* can be found by a document's value */
	bool is_sorted;   /* as a condition's */
	bool has_identity;
	_Alignas(struct value) char memory[]; /* cells, identity, texts of the cells; or a program's
						 text */
};

/* Of a memo: the predicate's scope has been collected for this event. */
#define MATCH_MEMO_COLLECTED 0x80U

struct match_predicate_key {
	enum cel_kind kind;
	bool is_sorted;
	bool is_point;
	struct match_path *path;
	const struct value *constant; /* NULL: EXISTS, programs */
	struct cel_program *program;
	struct bytes text; /* the program's */
};

/* The key of a comparison; sets is_point. */
struct match_predicate_key match_predicate_key_of(
	enum cel_kind kind, struct match_path *path, const struct value *constant);
struct match_predicate *match_predicate_find(
	const struct match_index *index, const struct match_predicate_key *key);
/* With one more holder. */
enum err match_predicate_get(struct match_index *index, const struct match_predicate_key *key,
	struct match_predicate **ret_predicate) MUST_CHECK;
void match_predicate_hold(struct match_predicate *predicate);
void match_predicate_put(struct match_index *index, struct match_predicate *predicate);
const struct value *match_predicate_constant(const struct match_predicate *predicate);
struct bytes match_predicate_text(const struct match_predicate *predicate); /* a program's */
/* So many more queries are filed here that ask for just this document. */
void match_predicate_count_by_id(struct match_predicate *predicate, uint32_t more);
/* The predicate `_id == c` of just this document, by its identity; NULL: nobody asks for just this.
 */
struct match_predicate *match_predicate_identify(
	const struct match_index *index, const struct event *event);
/* Its scope has become used, or empty (never fails): the path must know what to look up. */
enum err match_predicate_use(struct match_predicate *predicate, bool is_used) MUST_CHECK;

/* ---- codes (code.c) ---- */

/* The words of all codes that are this predicate. */
uint32_t match_predicate_words(const struct match_predicate *predicate);

struct match_code {
	const match_word *words;
	uint32_t count;
};
/* A canonical tree as words, in `arena`; holds its predicates. */
enum err match_code_make(struct match_index *index, struct match_collection *collection,
	struct arena *arena, const struct cel_node *tree, struct match_code *ret_code) MUST_CHECK;
void match_code_release(struct match_index *index, const match_word *words, uint32_t count);
/* Whether a top-level conjunct asks for document ids by `==` or `in`. */
bool match_code_is_by_id(const struct match_collection *collection, const match_word *words);

/* ---- queries ---- */

/* One place of a query. */
struct match_access {
	void *home; /* match_predicate, or match_facet where it is ranged; NULL: its collection */
	uint32_t place; /* in the list, or of the query's bounds */
	bool is_ranged;
	bool is_proof; /* what is found here holds, without a further look */
};

struct match_bounds {
	uint64_t low, high; /* as match_intervals has them */
};

/* What a hit that needs no evaluation reads and writes comes first. */
struct match_query {
	void *slot;               /* the user's */
	uint64_t seen;            /* stamp of the last event that tried it */
	uint32_t failures;        /* in a row */
	uint32_t code_count : 24; /* an expression has a million nodes at most */
	bool has_expression : 1;
	bool was_stopped : 1; /* its subscribers know; those that come later do not */
	bool has_failed : 1;  /* often in a row, and its subscribers know */
	bool is_residual : 1; /* as match_query_is_residual has it */
	bool is_by_id : 1;    /* its top-level AND has `_id == c` or `_id in [c...]` */
	bool is_lone : 1;     /* its only condition is a point, in whose scope it is the first */
	bool has_many : 1;
	bool has_bounds : 1; /* behind the many */
	uint32_t holders;
	uint32_t accesses_count;
	struct match_collection *collection;
	union {
		struct match_access one; /* alone, and not ranged */
		struct match_access *many;
	} as;
	match_word code[];
};

struct match_access *match_query_accesses(struct match_query *query);

/* Bytes that a query of this tree takes if it shares nothing, about (weigh.c). */
size_t match_weigh(const struct cel_node *tree);

/* ---- the index (index.c, access.c) ---- */

struct match_collection {
	struct bytes database, name; /* in `memory` */
	size_t queries_count;
	struct match_query *whole; /* without any condition; NULL if nobody asks */
	struct match_path *document;
	struct match_path *id; /* NULL: nobody asks */
	struct match_scope residuals;
	uint32_t paths_made;
	char memory[];
};

struct match_index {
	struct map collections; /* of match_collection */
	struct map paths;       /* of match_path, by parent and name */
	struct map predicates;  /* of match_predicate */
	struct map identities;  /* of match_predicate, those of one document id */
	struct pool pool;       /* of queries, predicates and places */
	struct match_members members;
	size_t residuals_count;
	uint32_t turn;        /* which of a long list is looked at again next */
	struct arena scratch; /* of one filing */
};

extern const struct map_type match_path_type, match_predicate_type, match_identity_type;

void match_index_init(struct match_index *index, uint64_t seed);
void match_index_fini(struct match_index *index); /* empty */

/* NULL: no query is about it. */
struct match_collection *match_index_collection(
	const struct match_index *index, struct bytes database, struct bytes collection);
enum err match_index_ensure(struct match_index *index, struct bytes database, struct bytes name,
	struct match_collection **ret_collection) MUST_CHECK;
/* Frees a collection without queries. */
void match_index_drop_if_empty(struct match_index *index, struct match_collection *collection);

/* Files a query by its code; ERR_MEMORY leaves no trace. */
enum err match_index_file(struct match_index *index, struct match_query *query) MUST_CHECK;
/* The query of just this predicate, if its place tells it; NULL: it is elsewhere, or nowhere. */
struct match_query *match_index_lone(const struct match_predicate *predicate);
void match_index_unfile(struct match_index *index, struct match_query *query);

/* An access to be: a key or the collection (NULL), and bounds where a range narrows it. */
struct match_choice {
	struct match_predicate_key key;
	bool is_keyed;
	struct match_path *range; /* NULL: none */
	enum match_order order;
	struct match_bounds bounds;
	bool is_proof;            /* key and range together say that the query holds */
	struct match_needs needs; /* beside the key, of a document that is not found otherwise */
};
struct match_choices {
	struct match_choice *items;
	size_t count, capacity;
};
/*
 * The cheapest access set of a code, in `arena`. A code that cannot be indexed has one choice, the
 * collection; one that never holds has none.
 */
enum err match_access_choose(struct arena *arena, const struct match_index *index,
	const struct match_query *query, struct match_choices *ret_choices) MUST_CHECK;
/* Whether no access set of a query, dear ones included, does without the existence of a field. */
bool match_access_leads_nowhere(const struct match_index *index, const struct match_query *query);

/* ---- needs.c ---- */

/* The word of a leaf. */
match_word match_word_of(const struct match_predicate *predicate);
/* What every document that the tree holds for has. */
struct match_needs match_needs_of(const match_word *word);
/* Adds what a document has by a field's value. */
void match_needs_meet(
	struct match_met *met, const struct match_path *path, const struct value *value);

/* ---- lookup.c ---- */

struct match_lookup;
enum err match_lookup_new(struct match_index *index, struct match_lookup **ret_lookup) MUST_CHECK;
void match_lookup_free(struct match_lookup *lookup);

/*
 * Walks the documents of a batch and finds the predicates that their values lead to, all events
 * together so that they wait for memory together. Those without a collection have nothing.
 */
enum err match_lookup_prepare(
	struct match_lookup *lookup, struct event *const *events, size_t count) MUST_CHECK;

/* The event of this number: its values are in the paths from now on. NULL: nobody asks for it. */
const struct match_collection *match_lookup_activate(
	struct match_lookup *lookup, uint32_t number, uint64_t stamp);

/* What the event of this number meets, as far as that has been found out. */
const struct match_met *match_lookup_met(const struct match_lookup *lookup, uint32_t number);

/* A query that may hold for an event. */
struct match_candidate {
	struct match_query *query;
	uint32_t event;
	bool is_proven; /* by the place where it was found */
};

struct match_candidates {
	struct match_candidate *items;
	size_t count, capacity;
};
struct match_candidates *match_lookup_candidates(struct match_lookup *lookup);

/*
 * Adds those of the event that was activated: of queries by document id first, then the whole
 * collection's, then the others, some perhaps more than once. Without a document the others are
 * left out, of a purge all but those by document id.
 */
enum err match_lookup_collect(struct match_lookup *lookup) MUST_CHECK;

#endif
