/*
 * cel: the Common Expression Language, and conditions over a document.
 * Owns: programs, counted; an expression or a tree lives in the arena that it was made in.
 * Threads: pure functions; what has been made is immutable. One `cel_regexes`, and the programs
 * compiled with it, belong to one thread. Errors: ERR_MEMORY, ERR_LIMIT, ERR_INVALID (what can
 * never work), with a problem that says where. Invariant: evaluation gives a value, or an error,
 * which `&&` and `||` absorb as CEL does.
 *
 * condition.h makes conditions of expressions: trees that can be indexed, compared and stored.
 */
#ifndef CEL_H
#define CEL_H

#include "base.h"
#include "value.h"

/* ---- values ---------------------------------------------------------------------------------- */

enum cel_type {
	CEL_ERROR, /* no value at all */
	CEL_NULL,
	CEL_BOOL,
	CEL_INT,
	CEL_UINT,
	CEL_DOUBLE,
	CEL_STRING,
	CEL_BYTES,
	CEL_LIST,
	CEL_MAP,
	CEL_TIMESTAMP,
	CEL_DURATION,
	CEL_TYPE,
	CEL_OPTIONAL,
	CEL_IP,
	CEL_CIDR,
	CEL_DYN, /* of a variable or an expression: not known before it is evaluated */
};
const char *cel_type_name(enum cel_type type); /* "int", "null_type", "net.IP", ... */

/* Why an evaluation gave no value. */
enum cel_failure {
	CEL_FAILED_NAME,     /* no such variable, function, field or key */
	CEL_FAILED_TYPE,     /* no such overload: kinds that do not fit */
	CEL_FAILED_RANGE,    /* overflow, division by zero, an index beyond the end */
	CEL_FAILED_ARGUMENT, /* text that is no number, no pattern, no time, ... */
	CEL_FAILED_BUDGET,   /* it took too many steps; nothing absorbs this and the next */
	CEL_FAILED_MEMORY,
};

/* 16 bytes, passed by value. Which member holds goes by `type`; `is_document`: value.h's cells. */
struct cel_value {
	uint8_t type;      /* enum cel_type */
	bool is_document;  /* LIST, MAP: `document`, not `items` or `entries` */
	uint16_t reserved; /* 0 */
	/* STRING, BYTES: bytes; LIST, MAP: items; TIMESTAMP: nanoseconds; TYPE: enum cel_type;
	   ERROR: enum cel_failure */
	uint32_t size;
	union {
		bool boolean;
		int64_t integer; /* INT; DURATION: nanoseconds; TIMESTAMP: seconds since 1970 */
		uint64_t unsigned_integer;
		double real;
		const char *text; /* STRING, BYTES; ERROR: static, for people, NUL-terminated */
		const struct cel_value *items; /* LIST; OPTIONAL: one, or NULL: none */
		const struct cel_entry *entries;
		const struct value *document;
		const struct cel_address *address;
	} as;
};
struct cel_entry {
	struct cel_value key, value;
};
struct cel_value cel_of_document(const struct value *value); /* borrows it */

/* What bounds an expression. See options.def for what is usual. */
struct cel_limits {
	uint32_t source_bytes;
	uint32_t depth;          /* nesting, as written and of what macros make of it */
	uint32_t nodes;          /* of the expression */
	uint32_t comprehensions; /* one within the other */
	uint32_t literal_bytes;  /* of one string; and items of one list or map */
	uint32_t regex_bytes;    /* that a compiled pattern may take */
	uint32_t memory_bytes;   /* that one evaluation may take; and what all patterns that are
				    written out are compiled to, where they are checked */
	uint64_t cost;           /* of the estimate, in steps */
	uint64_t steps;          /* of one evaluation */
};

enum cel_problem_kind { CEL_SYNTAX, CEL_NAME, CEL_TYPES, CEL_TOO_LARGE, CEL_TOO_DEAR };

/* What is wrong with an expression, and where. */
struct cel_problem {
	enum cel_problem_kind kind;
	uint32_t offset;       /* in bytes */
	uint32_t line, column; /* from 1; columns are code points */
	char text[240];        /* what is wrong */
	char hint[200];        /* what would be right; may be empty */
};
/* The line of `source`, and a line with a caret below the column. */
enum err cel_print_problem(
	struct buffer *buffer, struct bytes source, const struct cel_problem *problem) MUST_CHECK;

struct cel_variable {
	struct bytes name; /* may have points: "event.id" */
	enum cel_type type;
};

struct cel_regexes; /* see below */

/* The names that an expression may use. */
struct cel_scope {
	const struct cel_variable *variables;
	size_t variables_count;
	/* Variable 0 is a document: a name that is nothing else is a field of it, before the names
	   of types. */
	bool has_document;
	bool is_lenient; /* unknown names and functions fail when evaluated, instead of now */
	struct bytes container; /* names are looked up in it first; usually empty */
	/* Not NULL: a pattern that is written out, and bad or too large, is refused; else it fails
	   when it is used, and `||` may absorb that. */
	struct cel_regexes *regexes;
};

struct cel_expression; /* parsed; names resolved and types found once it has been checked */

/* ERR_INVALID and ERR_LIMIT fill the problem. Borrows `source`. */
enum err cel_parse(struct arena *arena, struct bytes source, const struct cel_limits *limits,
	struct cel_problem *ret_problem, struct cel_expression **ret_expression) MUST_CHECK;

/*
 * Resolves names, finds types, refuses what can never work and what is dearer than limits->cost.
 * Once for each expression. Borrows the scope's names.
 */
enum err cel_check(struct arena *arena, struct cel_expression *expression,
	const struct cel_scope *scope, const struct cel_limits *limits,
	struct cel_problem *ret_problem) MUST_CHECK;

/* Of a checked expression. */
enum err cel_print_type(struct buffer *buffer, const struct cel_expression *expression) MUST_CHECK;
enum cel_type cel_result_type(const struct cel_expression *expression);
uint64_t cel_estimate(const struct cel_expression *expression); /* steps, at worst */
enum err cel_print_expression(
	struct buffer *buffer, const struct cel_expression *expression) MUST_CHECK;

/* A checked expression's parts, each an expression of its own; see cel_part_at. */
struct cel_part {
	const struct cel_expression *expression;
	uint32_t level;       /* 0: the whole */
	bool is_bare_field;   /* a name that was taken for a field of the document */
	bool is_inside_macro; /* it speaks of a macro's variables: it has no value of its own */
	const char *advice; /* what is likely to fail, and what would not; static; NULL: nothing */
};
/* Part number `index`, each before its own parts, in the order of reading; false: no more. */
bool cel_part_at(const struct cel_expression *expression, size_t index, struct cel_part *ret_part);

/* A function's overload, for manuals: the row number `index` of the list; false behind the last. */
struct cel_signature {
	const char *library, *help; /* static */
	char text[160];             /* "string.charAt(int) -> string" */
};
bool cel_signature_at(size_t index, struct cel_signature *ret_signature);

/*
 * Compiled patterns, each once for all programs of one thread. They are RE2's: a pattern's memory
 * is bounded by `regex_bytes`, and mem_used knows it about.
 */
struct cel_regex;
enum err cel_regexes_new(uint32_t regex_bytes, struct cel_regexes **ret_regexes) MUST_CHECK;
void cel_regexes_free(struct cel_regexes *regexes); /* after the programs */

/* A checked expression made ready; counted; borrows nothing but `regexes`. */
struct cel_program;
enum err cel_compile(const struct cel_expression *expression, struct cel_regexes *regexes,
	const struct cel_limits *limits, struct cel_program **ret_program) MUST_CHECK;
struct cel_program *cel_program_ref(struct cel_program *program);
void cel_program_unref(struct cel_program *program); /* NULL is fine */
/* Calls `tell` for each first member of the slot's value that the program reads, as often as it
 * does; without data for all of them. */
typedef void (*cel_member_fn)(void *ctx, struct bytes name);
void cel_program_members(
	const struct cel_program *program, uint32_t slot, cel_member_fn tell, void *ctx);
size_t cel_program_bytes(const struct cel_program *program); /* and of its patterns, about */

/* One evaluation. `slots` are the scope's variables, in its order; an ERROR stands for none. */
struct cel_run {
	struct arena *arena; /* for what is made; the caller resets it */
	const struct cel_value *slots;
	uint64_t steps;      /* left */
	size_t memory_bytes; /* left */
	bool has_stopped;    /* by steps or memory: `failure` */
	enum cel_failure failure;
	/* The program's own, as the call of a function needs them. */
	struct cel_value *locals;
	const struct cel_regex *regex; /* of a constant pattern, already compiled; else NULL */
	uint32_t regex_bytes;          /* of its limits: for patterns that are compiled now */
};
/* The result borrows from the program, the arena and the slots. */
struct cel_value cel_run_program(const struct cel_program *program, struct cel_run *run);

/* Appends a value as CEL text: "a", 5u, timestamp("2026-01-01T00:00:00Z"), [1, 2], {"k": 1}. */
enum err cel_print_value(struct buffer *buffer, struct cel_value value) MUST_CHECK;

#endif
