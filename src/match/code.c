/*
 * A tree as a query keeps it: words in front of what they join, leaves that are predicates. Equal
 * trees over one index have equal words.
 */
#include "match_priv.h"

struct coder {
	struct match_index *index;
	struct match_collection *collection;
	match_word *words;
	uint32_t count;
};

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static uint32_t count_words(const struct cel_node *node)
{
	uint32_t count = 1;
	for (uint32_t i = 0; i < node->children_count; i++) {
		count += count_words(node->children[i]);
	}
	return count;
}

/* Each word of a code holds a predicate, and so does each place under it. */
uint32_t match_predicate_words(const struct match_predicate *predicate)
{
	size_t places = predicate->scope.count;
	for (const struct match_facet *facet = predicate->scope.facets; facet;
		facet = facet->next) {
		places += facet->intervals.count;
	}
	return predicate->holders - (uint32_t)places;
}

static void count_word(struct match_predicate *predicate, uint32_t step)
{
	if (predicate->kind != CEL_PROGRAM) {
		struct match_path *path = predicate->of.path;
		path->words += step;
		path->equal_words += predicate->kind == CEL_EQUAL ? step : 0;
	}
}

static enum err code_leaf(struct coder *coder, const struct cel_node *node)
{
	struct match_predicate_key key = {
		.kind = CEL_PROGRAM, .program = node->program, .text = node->text};
	struct match_path *path = NULL;
	enum err err = OK;
	if (node->kind != CEL_PROGRAM) {
		err = match_path_get(coder->index, coder->collection, &node->field, &path);
		if (err != OK) {
			return err;
		}
		key = match_predicate_key_of(node->kind, path, node->constant);
		key.is_sorted = node->is_sorted;
	}
	struct match_predicate *predicate = NULL;
	err = match_predicate_get(coder->index, &key, &predicate);
	match_path_put(coder->index, path); /* the predicate holds it */
	if (err == OK) {
		count_word(predicate, 1);
		coder->words[coder->count++] = match_word_of(predicate);
	}
	return err;
}

static enum match_join join_of(enum cel_kind kind)
{
	if (kind == CEL_TRUE) {
		return MATCH_TRUE;
	}
	if (kind == CEL_NOT || kind == CEL_SAME) {
		return kind == CEL_NOT ? MATCH_NOT : MATCH_SAME;
	}
	return kind == CEL_AND ? MATCH_AND : MATCH_OR;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most CEL_DEPTH_MAX deep */
static enum err code_node(struct coder *coder, const struct cel_node *node)
{
	if (node->children_count == 0 && node->kind != CEL_TRUE) {
		return code_leaf(coder, node);
	}
	uint32_t place = coder->count++;
	coder->words[place] = 1; /* a join of nothing yet */
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < node->children_count; i++) {
		err = code_node(coder, node->children[i]);
	}
	uint32_t below = coder->count - place - 1;
	coder->words[place] = (match_word)below << 8 | (match_word)join_of(node->kind) << 1 | 1;
	return err;
}

void match_code_release(struct match_index *index, const match_word *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!match_word_is_join(words[i])) {
			count_word(match_word_predicate(words[i]), UINT32_MAX);
			match_predicate_put(index, match_word_predicate(words[i]));
		}
	}
}

enum err match_code_make(struct match_index *index, struct match_collection *collection,
	struct arena *arena, const struct cel_node *tree, struct match_code *ret_code)
{
	uint32_t count = count_words(tree);
	struct coder coder = {index, collection, arena_alloc(arena, count * sizeof(match_word)), 0};
	if (!coder.words) {
		return ERR_MEMORY;
	}
	enum err err = code_node(&coder, tree);
	if (err != OK) {
		match_code_release(index, coder.words, coder.count);
		return err;
	}
	*ret_code = (struct match_code){coder.words, coder.count};
	return OK;
}

/* Whether a top-level conjunct asks for document ids by `==` or `in`. */
bool match_code_is_by_id(const struct match_collection *collection, const match_word *words)
{
	bool is_and = match_word_is_join(*words) && match_word_join(*words) == MATCH_AND;
	const match_word *end = match_word_after(words);
	for (const match_word *word = is_and ? words + 1 : words; word < end;
		word = match_word_after(word)) {
		if (match_word_is_join(*word)) {
			continue;
		}
		const struct match_predicate *leaf = match_word_predicate(*word);
		if ((leaf->kind == CEL_EQUAL || leaf->kind == CEL_IN) &&
			leaf->of.path == collection->id) {
			return true;
		}
	}
	return false;
}
