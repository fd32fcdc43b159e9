/*
 * What the index makes of a query, in words. Only looks: counts are those of the lists as they
 * stand, and what is left to verify at a place is whatever of a top-level AND the place itself does
 * not say.
 */
#include "match_priv.h"

#define TEXT_KEY_BYTES 8U /* a text's key in a range, see intervals.h */
#define CHANGES 1000U
#define PROGRAM_STEPS 16U

struct explainer {
	const struct match_query *query;
	struct arena *arena;
	struct match_explanation *explanation;
	struct match_place *places;
	struct match_part *parts;
	struct bytes *advice;
	const struct match_predicate *told[MATCH_EXPLAINED_MAX];
};

/* ---- words ---- */

static enum err keep(struct explainer *explainer, struct buffer *buffer, struct bytes *ret_text)
{
	struct bytes kept = arena_copy(explainer->arena, buffer_bytes(buffer));
	if (!kept.data) {
		return ERR_MEMORY;
	}
	*ret_text = kept;
	return OK;
}

static enum err field_of(
	struct arena *arena, const struct match_path *path, struct cel_field *ret_field)
{
	uint32_t count = 0;
	const struct match_path *root = path;
	for (; root->parent; root = root->parent) {
		count++;
	}
	struct bytes *parts = arena_alloc(arena, (count + 1) * sizeof(*parts));
	if (!parts) {
		return ERR_MEMORY;
	}
	for (uint32_t i = count; i > 0; i--, path = path->parent) {
		parts[i - 1] = path->name;
	}
	bool is_id = root == root->collection->id;
	*ret_field = (struct cel_field){is_id ? CEL_ID : CEL_DOCUMENT, count, parts};
	return OK;
}

static enum err leaf_of(struct arena *arena, const struct match_predicate *predicate,
	const struct cel_node **ret_node)
{
	struct cel_node *node = arena_alloc(arena, sizeof(*node));
	if (!node) {
		return ERR_MEMORY;
	}
	*node = (struct cel_node){.kind = (enum cel_kind)predicate->kind,
		.depth = 1,
		.constant = match_predicate_constant(predicate),
		.is_sorted = predicate->is_sorted};
	if (predicate->kind == CEL_PROGRAM) {
		node->text = match_predicate_text(predicate);
	} else {
		enum err err = field_of(arena, predicate->of.path, &node->field);
		if (err != OK) {
			return err;
		}
	}
	*ret_node = node;
	return OK;
}

static enum cel_kind kind_of(match_word word)
{
	static const enum cel_kind kinds[] = {[MATCH_TRUE] = CEL_TRUE,
		[MATCH_AND] = CEL_AND,
		[MATCH_OR] = CEL_OR,
		[MATCH_NOT] = CEL_NOT,
		[MATCH_SAME] = CEL_SAME};
	return kinds[match_word_join(word)];
}

/* The tree that a code was made of. */
/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err tree_of(
	struct arena *arena, const match_word *word, const struct cel_node **ret_node)
{
	if (!match_word_is_join(*word)) {
		return leaf_of(arena, match_word_predicate(*word), ret_node);
	}
	enum cel_kind kind = kind_of(*word);
	if (kind == CEL_TRUE) {
		return cel_true(arena, ret_node);
	}
	size_t size = match_word_below(*word) * sizeof(struct cel_node *);
	const struct cel_node **children = arena_alloc(arena, size);
	size_t count = 0;
	enum err err = children ? OK : ERR_MEMORY;
	const match_word *end = match_word_after(word);
	for (const match_word *child = word + 1; err == OK && child < end;
		child = match_word_after(child)) {
		err = tree_of(arena, child, &children[count++]);
	}
	return err == OK ? cel_join(arena, kind, children, count, ret_node) : err;
}

static enum err print_predicate(struct buffer *buffer, const struct match_predicate *predicate)
{
	struct arena scratch = {0};
	const struct cel_node *node = NULL;
	enum err err = leaf_of(&scratch, predicate, &node);
	err = err == OK ? cel_print(buffer, node) : err;
	arena_fini(&scratch);
	return err;
}

static enum err print_path(struct buffer *buffer, const struct match_path *path)
{
	struct arena scratch = {0};
	struct cel_node node = {.kind = CEL_HAS, .depth = 1};
	struct buffer text = {0};
	enum err err = field_of(&scratch, path, &node.field);
	err = err == OK ? cel_print(&text, &node) : err;
	if (err == OK) { /* without has( and its parenthesis */
		err = buffer_append(buffer, (struct bytes){text.data + 4, text.size - 5});
	}
	buffer_fini(&text);
	arena_fini(&scratch);
	return err;
}

/* ---- places ---- */

/* A place, taken apart. */
struct spot {
	const struct match_predicate *key;
	const struct match_facet *facet;
	struct match_bounds bounds; /* where there is a facet */
	uint64_t queries;
	bool is_proof;
};

static struct spot spot_of(const struct match_query *query, const struct match_access *accesses,
	const struct match_access *access)
{
	struct spot spot = {.key = access->is_ranged ? NULL : access->home};
	spot.is_proof = access->is_proof;
	if (access->is_ranged) {
		const struct match_bounds *bounds =
			(const void *)(accesses + query->accesses_count);
		spot.facet = access->home;
		spot.key = spot.facet->key;
		spot.bounds = bounds[access->place];
		spot.queries = spot.facet->intervals.count;
	} else {
		spot.queries =
			spot.key ? spot.key->scope.count : query->collection->residuals.count;
	}
	return spot;
}

static enum err print_key(struct buffer *buffer, const struct match_predicate *key)
{
	if (key->kind != CEL_HAS) {
		return print_predicate(buffer, key);
	}
	enum err err = buffer_append_text(buffer, "existence of ");
	return err == OK ? print_path(buffer, key->of.path) : err;
}

static enum err print_spot(struct buffer *buffer, const struct spot *spot)
{
	if (!spot->facet) {
		return spot->key ? print_key(buffer, spot->key)
				 : buffer_append_text(buffer, "every change of the collection");
	}
	enum err err = buffer_append_text(buffer, "range of ");
	err = err == OK ? print_path(buffer, spot->facet->path) : err;
	if (err == OK && spot->key) {
		err = buffer_append_text(buffer, " under ");
		err = err == OK ? print_key(buffer, spot->key) : err;
	}
	return err;
}

/* ---- what a place says ---- */

/* A comparison that every value between the bounds passes. Keys are in the order of values. */
static bool is_in_range(const struct spot *spot, const struct match_predicate *leaf)
{
	uint64_t point = 0;
	const struct match_facet *facet = spot->facet;
	if (!facet || leaf->kind == CEL_PROGRAM || facet->path != leaf->of.path ||
		leaf->kind < CEL_LESS || leaf->kind > CEL_GREATER_OR_EQUAL ||
		!match_facet_point(facet->order, match_predicate_constant(leaf), &point)) {
		return false;
	}
	/* Whether the constant's key is that of no other value. */
	bool is_exact = facet->order != MATCH_TEXTS &&
		match_predicate_key_of(CEL_EQUAL, leaf->of.path, match_predicate_constant(leaf))
			.is_point;
	bool is_upper = leaf->kind == CEL_LESS || leaf->kind == CEL_LESS_OR_EQUAL;
	bool is_inside = is_upper ? spot->bounds.high < point : spot->bounds.low > point;
	bool is_at = is_upper ? spot->bounds.high == point : spot->bounds.low == point;
	bool is_closed = leaf->kind == CEL_LESS_OR_EQUAL || leaf->kind == CEL_GREATER_OR_EQUAL;
	return is_inside || (is_at && is_closed && is_exact);
}

/* Beyond 2^53 a double stands for whole numbers that differ. */
static bool is_shared_number(const struct value *value)
{
	const double exact_below = 0x1p53;
	return value->kind == VALUE_DOUBLE &&
		(value->as.real >= exact_below || value->as.real <= -exact_below);
}

/* Whether the key is one of the list's values. */
static bool is_in_list(const struct match_predicate *key, const struct match_predicate *leaf)
{
	if (!key || key->kind != CEL_EQUAL || leaf->kind != CEL_IN ||
		key->of.path != leaf->of.path) {
		return false;
	}
	const struct value *value = match_predicate_constant(key);
	const struct cel_node list = {.kind = CEL_IN,
		.depth = 1,
		.constant = match_predicate_constant(leaf),
		.is_sorted = leaf->is_sorted};
	enum cel_failure failure = CEL_FAILED_NAME;
	return !is_shared_number(value) && cel_compare_with(&list, value, &failure) == CEL_IS_TRUE;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static bool is_said(const struct spot *spot, const match_word *word)
{
	if (!match_word_is_join(*word)) {
		const struct match_predicate *leaf = match_word_predicate(*word);
		return leaf == spot->key || is_in_list(spot->key, leaf) || is_in_range(spot, leaf);
	}
	enum match_join join = match_word_join(*word);
	if (join != MATCH_AND && join != MATCH_OR) {
		return join == MATCH_TRUE;
	}
	const match_word *end = match_word_after(word);
	bool is_all = true;
	for (const match_word *child = word + 1; child < end; child = match_word_after(child)) {
		bool is_child = is_said(spot, child);
		if (is_child && join == MATCH_OR) {
			return true;
		}
		is_all = is_all && is_child;
	}
	return is_all && join == MATCH_AND;
}

static uint64_t steps_of(const match_word *word)
{
	uint64_t steps = 0;
	const match_word *end = match_word_after(word);
	for (; word < end; word++) {
		bool is_leaf = !match_word_is_join(*word);
		bool is_program = is_leaf && match_word_predicate(*word)->kind == CEL_PROGRAM;
		steps += is_program ? PROGRAM_STEPS : is_leaf;
	}
	return steps;
}

/* Prints what is left, which is all of it where only the whole is known to say more. */
static enum err print_left(const struct explainer *explainer, const struct spot *spot,
	struct buffer *buffer, uint64_t *ret_steps)
{
	const match_word *code = explainer->query->code;
	bool is_and = match_word_is_join(*code) && match_word_join(*code) == MATCH_AND;
	const match_word *end = match_word_after(code);
	const struct cel_node **left = arena_alloc(
		explainer->arena, explainer->query->code_count * sizeof(struct cel_node *));
	size_t count = 0;
	uint64_t steps = 0;
	enum err err = left ? OK : ERR_MEMORY;
	bool is_whole = is_said(spot, code);
	const match_word *word = is_and && !is_whole ? code + 1 : code;
	for (; err == OK && word < end; word = match_word_after(word)) {
		if (is_whole || !is_said(spot, word)) {
			steps += steps_of(word);
			err = tree_of(explainer->arena, word, &left[count++]);
		}
	}
	const struct cel_node *tree = NULL;
	err = err == OK ? cel_join(explainer->arena, CEL_AND, left, count, &tree) : err;
	err = err == OK ? cel_print(buffer, tree) : err;
	if (err == OK) {
		*ret_steps = steps;
	}
	return err;
}

/* How many of CHANGES lead there. */
static uint64_t found_of(const struct spot *spot)
{
	uint64_t found = CHANGES;
	if (spot->facet) {
		bool is_two_sided = spot->bounds.low > 0 && spot->bounds.high < UINT64_MAX;
		found /= is_two_sided ? 16 : 4;
	}
	bool is_value = spot->key && spot->key->kind != CEL_HAS;
	return is_value ? (found + 99) / 100 : found;
}

static enum err explain_spot(
	struct explainer *explainer, const struct spot *spot, struct match_place *ret_place)
{
	struct match_place place = {.queries = spot->queries, .is_proof = spot->is_proof};
	struct buffer buffer = {0};
	enum err err = print_spot(&buffer, spot);
	err = err == OK ? keep(explainer, &buffer, &place.text) : err;
	buffer.size = 0;
	uint64_t steps = 0;
	if (err == OK && !spot->is_proof) {
		err = print_left(explainer, spot, &buffer, &steps);
		err = err == OK ? keep(explainer, &buffer, &place.left) : err;
	}
	buffer_fini(&buffer);
	place.steps = found_of(spot) * (1 + steps);
	if (err == OK) {
		*ret_place = place;
	}
	return err;
}

static enum err explain_places(struct explainer *explainer)
{
	const struct match_query *query = explainer->query;
	struct match_explanation *explanation = explainer->explanation;
	struct spot whole = {.queries = 1, .is_proof = true};
	if (query->collection->whole == query) {
		explanation->places_count = 1;
		enum err err = explain_spot(explainer, &whole, explainer->places);
		explanation->steps = explainer->places->steps;
		return err;
	}
	const struct match_access *accesses = query->has_many ? query->as.many : &query->as.one;
	explanation->places_count = query->accesses_count;
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < query->accesses_count; i++) {
		const struct spot spot = spot_of(query, accesses, &accesses[i]);
		struct match_place *place = &explainer->places[i];
		if (i < MATCH_EXPLAINED_MAX) {
			err = explain_spot(explainer, &spot, place);
			explanation->steps += err == OK ? place->steps : 0;
		} else { /* much as the last one that is told */
			explanation->steps += explainer->places[MATCH_EXPLAINED_MAX - 1].steps;
		}
	}
	return err;
}

/* ---- parts ---- */

static uint64_t own_words(const struct match_query *query, const struct match_predicate *predicate)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < query->code_count; i++) {
		count += query->code[i] == match_word_of(predicate);
	}
	return count;
}

static bool is_told(const struct explainer *explainer, const struct match_predicate *predicate)
{
	for (size_t i = 0; i < explainer->explanation->parts_count; i++) {
		if (explainer->told[i] == predicate) {
			return true;
		}
	}
	return false;
}

static enum err explain_parts(struct explainer *explainer)
{
	const struct match_query *query = explainer->query;
	struct match_explanation *explanation = explainer->explanation;
	struct buffer buffer = {0};
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < query->code_count &&
		explanation->parts_count < MATCH_EXPLAINED_MAX;
		i++) {
		const struct match_predicate *predicate = match_word_predicate(query->code[i]);
		if (match_word_is_join(query->code[i]) || is_told(explainer, predicate)) {
			continue;
		}
		struct match_part *part = &explainer->parts[explanation->parts_count];
		*part = (struct match_part){
			.others = match_predicate_words(predicate) - own_words(query, predicate),
			.is_program = predicate->kind == CEL_PROGRAM};
		buffer.size = 0;
		err = print_predicate(&buffer, predicate);
		err = err == OK ? keep(explainer, &buffer, &part->text) : err;
		explainer->told[explanation->parts_count++] = predicate;
	}
	buffer_fini(&buffer);
	return err;
}

/* ---- advice ---- */

static const struct match_access *first_access(const struct match_query *query)
{
	return query->has_many ? query->as.many : &query->as.one;
}

/* Whether only a field's existence leads to the query, at least from one place. */
static bool is_by_existence(const struct match_query *query, const struct match_path *path)
{
	const struct match_access *accesses = first_access(query);
	for (uint32_t i = 0; i < query->accesses_count; i++) {
		const struct spot spot = spot_of(query, accesses, &accesses[i]);
		if (!spot.facet && spot.key && spot.key->kind == CEL_HAS &&
			spot.key->of.path == path) {
			return true;
		}
	}
	return false;
}

static bool is_by_every_change(const struct match_query *query)
{
	const struct match_access *access = first_access(query);
	return query->accesses_count == 1 && !access->home;
}

static bool is_long_text(const struct match_predicate *leaf)
{
	const struct value *constant = match_predicate_constant(leaf);
	return constant && constant->kind == VALUE_STRING && constant->size > TEXT_KEY_BYTES;
}

static bool is_by_range(const struct match_query *query, const struct match_path *path)
{
	const struct match_access *accesses = first_access(query);
	for (uint32_t i = 0; i < query->accesses_count; i++) {
		const struct match_facet *facet = accesses[i].is_ranged ? accesses[i].home : NULL;
		if (facet && facet->path == path) {
			return true;
		}
	}
	return false;
}

/* What is told of one predicate; NULL: nothing. */
static const char *advice_for(
	const struct match_query *query, const struct match_predicate *leaf, bool is_negated)
{
	if (leaf->kind == CEL_PROGRAM) {
		return is_by_every_change(query)
			? "cannot be indexed: only a field compared with a constant can"
			: NULL;
	}
	if (leaf->kind >= CEL_LESS && leaf->kind <= CEL_GREATER_OR_EQUAL) {
		return is_long_text(leaf) && is_by_range(query, leaf->of.path)
			? "only the first 8 bytes of the text narrow it, the rest is verified"
			: NULL;
	}
	if (!is_by_existence(query, leaf->of.path)) {
		return NULL;
	}
	if (leaf->kind == CEL_NOT_EQUAL || is_negated) {
		return "is looked at for each document that has the field";
	}
	return leaf->kind == CEL_IN ? "its list is too long, or has values that cannot be filed by:"
				      " it is looked at for each document that has the field"
				    : NULL;
}

static enum err add_advice(
	struct explainer *explainer, const struct match_predicate *about, const char *text)
{
	struct match_explanation *explanation = explainer->explanation;
	struct buffer buffer = {0};
	enum err err = about ? print_predicate(&buffer, about) : OK;
	err = err == OK ? buffer_printf(&buffer, "%s%s", about ? ": " : "", text) : err;
	err = err == OK ? keep(explainer, &buffer, &explainer->advice[explanation->advice_count])
			: err;
	explanation->advice_count += err == OK;
	buffer_fini(&buffer);
	return err;
}

/* Whether a predicate stands below a NOT. */
static bool is_below_not(const struct match_query *query, const struct match_predicate *leaf)
{
	const match_word *end = query->code + query->code_count;
	for (const match_word *word = query->code; word < end; word++) {
		if (!match_word_is_join(*word) || match_word_join(*word) != MATCH_NOT) {
			continue;
		}
		for (const match_word *below = word + 1; below < match_word_after(word); below++) {
			if (*below == match_word_of(leaf)) {
				return true;
			}
		}
	}
	return false;
}

static enum err explain_advice(struct explainer *explainer)
{
	const struct match_query *query = explainer->query;
	enum err err = OK;
	for (size_t i = 0; err == OK && i < explainer->explanation->parts_count; i++) {
		const struct match_predicate *leaf = explainer->told[i];
		const char *text = advice_for(query, leaf, is_below_not(query, leaf));
		err = text ? add_advice(explainer, leaf, text) : OK;
	}
	if (err == OK && explainer->explanation->places_count == 0) {
		err = add_advice(explainer, NULL, "it never holds");
	}
	if (err == OK && query->is_residual) {
		err = add_advice(explainer, NULL,
			"no value leads to it: add an equality, for example doc.kind == \"x\" && "
			"...");
	}
	return err;
}

/* ---- */

enum err match_query_explain(const struct match_query *query, struct arena *arena,
	struct match_explanation *ret_explanation)
{
	struct match_explanation explanation = {.is_residual = query->is_residual};
	struct explainer explainer = {.query = query, .arena = arena, .explanation = &explanation};
	const size_t count = MATCH_EXPLAINED_MAX + 2; /* pieces of advice: those of no part too */
	explainer.places = arena_alloc(arena, count * sizeof(*explainer.places));
	explainer.parts = arena_alloc(arena, count * sizeof(*explainer.parts));
	explainer.advice = arena_alloc(arena, count * sizeof(*explainer.advice));
	bool is_made = explainer.places && explainer.parts && explainer.advice;
	enum err err = is_made ? explain_places(&explainer) : ERR_MEMORY;
	err = err == OK ? explain_parts(&explainer) : err;
	err = err == OK ? explain_advice(&explainer) : err;
	if (err != OK) {
		return err;
	}
	explanation.places = explainer.places;
	explanation.parts = explainer.parts;
	explanation.advice = explainer.advice;
	*ret_explanation = explanation;
	return OK;
}

enum err match_explain(struct match *match, const struct model_subscription *subscription,
	struct arena *arena, struct match_refusal *ret_refusal,
	struct match_explanation *ret_explanation)
{
	struct match_query *query = NULL;
	enum err err = match_query_get(match, subscription, ret_refusal, &query);
	if (err == OK) {
		err = match_query_explain(query, arena, ret_explanation);
		match_query_put(match, query);
	}
	return err;
}
