/*
 * From documents to queries that may hold. Each document is walked once along the tree of the paths
 * that somebody reads; what it has there is looked up: by its value, by its elements, by its
 * beginning, by its being there. A batch goes through each step together, and each step asks for
 * the memory that the next one will read.
 */
#include "match_priv.h"

/* Room of so many found values or predicates is given back after a batch that needed it. */
#define KEPT_MAX 65536U

/* A batch's mostly; those of a large list are looked up before there are more. */
#define PROBES_AT_ONCE 4096U

struct found {
	struct match_path *path;
	const struct value *value;
};

/* A point to be looked up. */
struct probe {
	uint64_t hash;
	struct match_path *path;
	enum cel_kind kind;
	const struct value *value; /* NULL: `own` */
	struct value own;
	uint32_t event; /* in the batch */
	bool is_of_id;
};

struct looked {
	const struct event *event;
	struct match_collection *collection; /* NULL: nobody asks */
	struct value id;
	bool knows_id;
	size_t found_first, found_end;
	size_t holding_first, holding_count;
	size_t holding_by_id; /* so many; they come first */
	bool knows_met;
};

struct match_lookup {
	struct match_index *index;
	uint64_t walk;
	uint64_t stamp;                /* of the event at hand */
	uint32_t number;               /* in the batch */
	struct match_collection *last; /* of the event before, of one batch */
	struct looked events[MATCH_BATCH_MAX];
	struct match_met met[MATCH_BATCH_MAX]; /* by events that say so */
	struct found *found;
	size_t found_count, found_capacity;
	struct probe *probes;
	size_t probes_count, probes_capacity;
	struct match_predicate **holding; /* found by the probes; one may stand here repeatedly */
	size_t holding_count, holding_capacity;
	struct match_candidates candidates;
};

enum err match_lookup_new(struct match_index *index, struct match_lookup **ret_lookup)
{
	struct match_lookup *lookup = mem_calloc(1, sizeof(*lookup));
	if (!lookup) {
		return ERR_MEMORY;
	}
	lookup->index = index;
	*ret_lookup = lookup;
	return OK;
}

void match_lookup_free(struct match_lookup *lookup)
{
	if (lookup) {
		mem_free(lookup->found);
		mem_free(lookup->probes);
		mem_free(lookup->holding);
		mem_free(lookup->candidates.items);
		mem_free(lookup);
	}
}

/* ---- arrays that grow ---- */

static void *with_room(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity) {
		return items;
	}
	size_t more = *capacity > 0 ? *capacity * 2 : 256;
	void *moved = mem_realloc(items, more * size);
	*capacity = moved ? more : *capacity;
	return moved;
}

static void begin_batch(struct match_lookup *lookup)
{
	if (lookup->found_capacity > KEPT_MAX) {
		mem_free(lookup->found);
		lookup->found = NULL;
		lookup->found_capacity = 0;
	}
	if (lookup->holding_capacity > KEPT_MAX) {
		mem_free(lookup->holding);
		lookup->holding = NULL;
		lookup->holding_capacity = 0;
	}
	if (lookup->candidates.capacity > KEPT_MAX) {
		mem_free(lookup->candidates.items);
		lookup->candidates = (struct match_candidates){0};
	}
	lookup->candidates.count = 0;
	lookup->found_count = 0;
	lookup->probes_count = 0;
	lookup->holding_count = 0;
	lookup->last = NULL;
}

/* ---- probes ---- */

static struct match_predicate_key key_of(const struct probe *probe)
{
	return (struct match_predicate_key){.kind = probe->kind,
		.is_point = true,
		.path = probe->path,
		.constant = probe->value ? probe->value : &probe->own};
}

static enum err add_holding(
	struct match_lookup *lookup, const struct probe *probe, struct match_predicate *predicate)
{
	void *holding = with_room(
		lookup->holding, lookup->holding_count, &lookup->holding_capacity, sizeof(void *));
	if (!holding) {
		return ERR_MEMORY;
	}
	lookup->holding = holding;
	struct looked *looked = &lookup->events[probe->event];
	if (looked->holding_count++ == 0) {
		looked->holding_first = lookup->holding_count;
	}
	looked->holding_by_id += probe->is_of_id;
	lookup->holding[lookup->holding_count++] = predicate;
	return OK;
}

/* Of all probes, in their order, which is that of the events. */
static enum err find_predicates(struct match_lookup *lookup)
{
	const struct map *predicates = &lookup->index->predicates;
	size_t first = lookup->holding_count;
	enum err err = OK;
	for (size_t i = 0; i < lookup->probes_count; i++) {
		map_prefetch_item(predicates, lookup->probes[i].hash);
	}
	for (size_t i = 0; err == OK && i < lookup->probes_count; i++) {
		const struct probe *probe = &lookup->probes[i];
		const struct match_predicate_key key = key_of(probe);
		struct match_predicate *predicate = map_find_hashed(predicates, probe->hash, &key);
		if (!predicate || match_scope_is_empty(&predicate->scope)) {
			continue;
		}
		if (predicate->scope.count > 0) {
			match_prefetch(predicate->scope.as.query);
		}
		if (predicate->scope.facets) {
			match_prefetch(predicate->scope.facets);
		}
		err = add_holding(lookup, probe, predicate);
	}
	for (size_t i = first; i < lookup->holding_count; i++) {
		const struct match_facet *facets = lookup->holding[i]->scope.facets;
		if (facets) {
			match_prefetch(facets->intervals.root);
		}
	}
	lookup->probes_count = 0;
	return err;
}

static enum err add_probe(struct match_lookup *lookup, struct probe probe)
{
	if (lookup->probes_count == PROBES_AT_ONCE) {
		enum err err = find_predicates(lookup);
		if (err != OK) {
			return err;
		}
	}
	void *probes = with_room(
		lookup->probes, lookup->probes_count, &lookup->probes_capacity, sizeof(probe));
	if (!probes) {
		return ERR_MEMORY;
	}
	lookup->probes = probes;
	struct probe *added = &lookup->probes[lookup->probes_count++];
	*added = probe;
	added->event = lookup->number;
	added->is_of_id = !probe.path->parent; /* the document itself is not looked up */
	const struct match_predicate_key key = key_of(added);
	added->hash = map_hash(&lookup->index->predicates, &key);
	map_prefetch(&lookup->index->predicates, added->hash);
	return OK;
}

/*
 * Objects take no part: hashing one costs the square of its members, and whoever writes documents
 * could choose a large one. No point has an object in it. Nor does a list larger than each
 * constant, which can equal none.
 */
static bool is_hashable(const struct match_path *path, const struct value *value)
{
	const struct value *end = value_after(value);
	if (end - value > path->cells_max) {
		return false;
	}
	for (const struct value *cell = value; cell < end; cell++) {
		if (cell->kind == VALUE_OBJECT) {
			return false;
		}
	}
	return true;
}

static enum err probe_elements(
	struct match_lookup *lookup, struct match_path *path, const struct value *value)
{
	bool is_object = value->kind == VALUE_OBJECT;
	if (!is_object && value->kind != VALUE_LIST) {
		return OK;
	}
	enum err err = OK;
	const struct value *end = value_after(value);
	for (const struct value *item = value + 1; err == OK && item < end;) {
		if (is_object || is_hashable(path, item)) {
			err = add_probe(lookup,
				(struct probe){.path = path, .kind = CEL_CONTAINS, .value = item});
		}
		item = value_after(is_object ? item + 1 : item);
	}
	return err;
}

static enum err probe_prefixes(
	struct match_lookup *lookup, struct match_path *path, const struct value *value)
{
	if (value->kind != VALUE_STRING) {
		return OK;
	}
	enum err err = OK;
	uint64_t lengths = path->prefix_lengths;
	while (err == OK && lengths) {
		uint32_t size = (uint32_t)__builtin_ctzll(lengths) + 1;
		if (size > value->size) {
			break;
		}
		struct probe probe = {.path = path, .kind = CEL_STARTS_WITH, .own = *value};
		probe.own.size = size;
		err = add_probe(lookup, probe);
		lengths &= lengths - 1;
	}
	return err;
}

static enum err probe_value(
	struct match_lookup *lookup, struct match_path *path, const struct value *value)
{
	enum err err = OK;
	if (path->equals > 0 && is_hashable(path, value)) {
		err = add_probe(
			lookup, (struct probe){.path = path, .kind = CEL_EQUAL, .value = value});
	}
	if (err == OK && path->elements > 0) {
		err = probe_elements(lookup, path, value);
	}
	if (err == OK && path->prefix_lengths) {
		err = probe_prefixes(lookup, path, value);
	}
	return err;
}

/* ---- the walk ---- */

/* The last of repeated members counts. */
static enum err note_value(
	struct match_lookup *lookup, struct match_path *path, const struct value *value)
{
	if (path->walk == lookup->walk) {
		check(lookup->found);
		lookup->found[path->found].value = value;
		return OK;
	}
	void *found = with_room(lookup->found, lookup->found_count, &lookup->found_capacity,
		sizeof(*lookup->found));
	if (!found) {
		return ERR_MEMORY;
	}
	lookup->found = found;
	path->walk = lookup->walk;
	path->found = (uint32_t)lookup->found_count;
	lookup->found[lookup->found_count++] = (struct found){path, value};
	return OK;
}

/* Of few paths each is looked for; of many each member is. */
static enum err find_members(
	struct match_lookup *lookup, const struct match_path *path, const struct value *object)
{
	enum err err = OK;
	for (struct match_path *child = path->first_child; err == OK && child;
		child = child->next) {
		const struct value *value = value_member(object, child->name);
		if (value) {
			err = note_value(lookup, child, value);
		}
	}
	return err;
}

static enum err walk_members(
	struct match_lookup *lookup, const struct match_path *path, const struct value *object)
{
	if (path->children_count <= MATCH_CHILDREN_SEARCHED) {
		return find_members(lookup, path, object);
	}
	enum err err = OK;
	const struct value *end = value_after(object);
	for (const struct value *name = object + 1; err == OK && name < end;) {
		struct match_path *child = match_path_child(lookup->index, path, value_text(name));
		if (child) {
			err = note_value(lookup, child, name + 1);
		}
		name = value_after(name + 1);
	}
	return err;
}

/* What is found is itself looked into: the list is the queue of the walk. */
static enum err walk(
	struct match_lookup *lookup, struct match_path *document, const struct value *value)
{
	lookup->walk++;
	size_t next = lookup->found_count;
	enum err err = note_value(lookup, document, value);
	for (; err == OK && next < lookup->found_count; next++) {
		const struct found found = lookup->found[next];
		if (found.path->parent) {
			err = probe_value(lookup, found.path, found.value);
		}
		if (err == OK && found.path->first_child && found.value->kind == VALUE_OBJECT) {
			err = walk_members(lookup, found.path, found.value);
		}
	}
	return err;
}

static enum err look(struct match_lookup *lookup, struct looked *looked)
{
	const struct event *event = looked->event;
	const struct match_collection *collection = looked->collection;
	/* Of a document that was refused an empty id may mean that none was read. */
	bool is_lost = event->is_refused && event->document_id.size == 0;
	enum err err = OK;
	looked->knows_id = !event->id_is_unknown && !is_lost;
	looked->id = value_string(event->document_id);
	if (collection->id && looked->knows_id) {
		err = probe_value(lookup, collection->id, &looked->id);
	}
	if (err == OK && collection->document && event->document) {
		err = walk(lookup, collection->document, event->document);
	}
	/* The id is no member of the document, and last. */
	if (err == OK && collection->id && looked->knows_id) {
		lookup->walk++;
		err = note_value(lookup, collection->id, &looked->id);
	}
	return err;
}

/* Events of one collection often come one behind the other. */
static struct match_collection *find_collection(
	const struct match_lookup *lookup, const struct event *event)
{
	struct match_collection *last = lookup->last;
	if (last && bytes_equal(last->name, event->collection) &&
		bytes_equal(last->database, event->change.database)) {
		return last;
	}
	return match_index_collection(lookup->index, event->change.database, event->collection);
}

/* Documents were made by another thread: what is read of each comes before the first is walked. */
static void fetch_documents(struct event *const *events, size_t count)
{
	const uint32_t cells_max = 40;
	const uint32_t line = 64 / sizeof(struct value);
	for (size_t i = 0; i < count; i++) {
		match_prefetch(events[i]);
		__builtin_prefetch(&events[i]->change.database);
	}
	for (size_t i = 0; i < count; i++) {
		const struct value *document = events[i]->document;
		for (uint32_t at = 0; document && at < cells_max; at += line) {
			__builtin_prefetch(document + at);
		}
	}
}

enum err match_lookup_prepare(
	struct match_lookup *lookup, struct event *const *events, size_t count)
{
	check(count <= MATCH_BATCH_MAX);
	begin_batch(lookup);
	fetch_documents(events, count);
	enum err err = OK;
	for (size_t i = 0; err == OK && i < count; i++) {
		struct looked *looked = &lookup->events[i];
		const struct event *event = events[i];
		bool has_operation = event->operation != MODEL_NO_OPERATION;
		*looked = (struct looked){.event = event, .found_first = lookup->found_count};
		lookup->number = (uint32_t)i;
		if (has_operation) {
			looked->collection = find_collection(lookup, event);
			lookup->last = looked->collection;
		}
		if (looked->collection) {
			check(event->is_read);
			err = look(lookup, looked);
		}
		looked->found_end = lookup->found_count;
	}
	return err == OK ? find_predicates(lookup) : err;
}

/* ---- candidates ---- */

const struct match_collection *match_lookup_activate(
	struct match_lookup *lookup, uint32_t number, uint64_t stamp)
{
	const struct looked *looked = &lookup->events[number];
	lookup->number = number;
	lookup->stamp = stamp;
	for (size_t i = looked->found_first; i < looked->found_end; i++) {
		struct match_path *path = lookup->found[i].path;
		path->stamp = stamp;
		path->value = lookup->found[i].value;
	}
	return looked->collection;
}

const struct match_met *match_lookup_met(const struct match_lookup *lookup, uint32_t number)
{
	return lookup->events[number].knows_met ? &lookup->met[number] : &match_met_unknown;
}

struct match_candidates *match_lookup_candidates(struct match_lookup *lookup)
{
	return &lookup->candidates;
}

/* One batch's queries that may hold, for its events in their order. */
static enum err add_candidate(
	struct match_lookup *lookup, struct match_query *query, bool is_proven)
{
	struct match_candidates *candidates = &lookup->candidates;
	void *items = with_room(candidates->items, candidates->count, &candidates->capacity,
		sizeof(*candidates->items));
	if (!items) {
		return ERR_MEMORY;
	}
	candidates->items = items;
	candidates->items[candidates->count++] =
		(struct match_candidate){query, lookup->number, is_proven};
	return OK;
}

/* What the event at hand meets, which is found out when a list or a facet asks. */
static struct match_needs met_by_event(struct match_lookup *lookup)
{
	struct looked *looked = &lookup->events[lookup->number];
	struct match_met *met = &lookup->met[lookup->number];
	if (!looked->knows_met) {
		looked->knows_met = true;
		*met = (struct match_met){0};
		for (size_t i = looked->found_first; i < looked->found_end; i++) {
			match_needs_meet(met, lookup->found[i].path, lookup->found[i].value);
		}
	}
	return met->needs;
}

/* Each is written down, and counts if nothing that it needs is lacking: no branch to mispredict. */
static enum err collect_entries(
	struct match_lookup *lookup, const struct match_entry *entries, uint32_t count)
{
	struct match_candidates *candidates = &lookup->candidates;
	const struct match_needs met = met_by_event(lookup);
	for (uint32_t done = 0; done < count;) {
		void *items = with_room(candidates->items, candidates->count, &candidates->capacity,
			sizeof(*candidates->items));
		if (!items) {
			return ERR_MEMORY;
		}
		candidates->items = items;
		struct match_candidate *place = candidates->items + candidates->count;
		size_t room = candidates->capacity - candidates->count;
		uint32_t end = room < count - done ? done + (uint32_t)room : count;
		for (; done < end; done++) {
			const struct match_entry *entry = &entries[done];
			const struct match_needs needs = {entry->fields, entry->values};
			*place = (struct match_candidate){
				entry->query, lookup->number, entry->access & 1};
			place += match_needs_are_met(&needs, &met);
		}
		candidates->count = (size_t)(place - candidates->items);
	}
	return OK;
}

static enum err collect_list(struct match_lookup *lookup, const struct match_scope *scope)
{
	if (scope->count == 1) {
		return add_candidate(lookup, scope->as.query, scope->extra & 1);
	}
	return collect_entries(lookup, scope->as.entries, scope->count);
}

static enum err add_ranged(void *ctx, const struct match_interval *interval)
{
	return add_candidate(ctx, interval->item, interval->needs & MATCH_IS_PROOF);
}

static enum err collect_facets(struct match_lookup *lookup, const struct match_scope *scope)
{
	enum err err = OK;
	for (const struct match_facet *facet = scope->facets; err == OK && facet;
		facet = facet->next) {
		const struct match_path *path = facet->path;
		uint64_t point = 0;
		if (path->stamp == lookup->stamp &&
			match_facet_point(facet->order, path->value, &point)) {
			err = match_intervals_stab(&facet->intervals, point,
				met_by_event(lookup).fields | MATCH_IS_PROOF, add_ranged, lookup);
		}
	}
	return err;
}

static enum err collect_scope(struct match_lookup *lookup, const struct match_scope *scope)
{
	enum err err = collect_list(lookup, scope);
	return err == OK ? collect_facets(lookup, scope) : err;
}

/*
 * A predicate that is known to hold need not be evaluated for this event. However many elements of
 * a list lead to it, it is collected once.
 */
static enum err collect_predicate(struct match_lookup *lookup, struct match_predicate *predicate)
{
	const uint64_t memo = lookup->stamp << 8 | MATCH_MEMO_COLLECTED | CEL_IS_TRUE;
	if (match_scope_is_empty(&predicate->scope) || predicate->memo == memo) {
		return OK;
	}
	predicate->memo = memo;
	return collect_scope(lookup, &predicate->scope);
}

static enum err collect_holding(struct match_lookup *lookup, size_t first, size_t count)
{
	enum err err = OK;
	for (size_t i = first; err == OK && i < first + count; i++) {
		err = collect_predicate(lookup, lookup->holding[i]);
	}
	return err;
}

static enum err collect_existing(struct match_lookup *lookup, const struct looked *looked)
{
	enum err err = OK;
	for (size_t i = looked->found_first; err == OK && i < looked->found_end; i++) {
		const struct match_path *path = lookup->found[i].path;
		if (path->exists) {
			err = collect_predicate(lookup, path->exists);
		}
	}
	return err;
}

/* Those of the id, which may be known by the document's identity alone. */
static enum err collect_id(struct match_lookup *lookup, const struct looked *looked)
{
	const struct event *event = looked->event;
	if (looked->collection->id && !looked->knows_id && event->has_identity) {
		struct match_predicate *predicate = match_predicate_identify(lookup->index, event);
		bool is_ours = predicate && predicate->of.path == looked->collection->id;
		return is_ours ? collect_predicate(lookup, predicate) : OK;
	}
	return collect_holding(lookup, looked->holding_first, looked->holding_by_id);
}

/*
 * Of the candidates from `first`, those of queries by document id: kept in front, in their order.
 * The others are dropped where there is no document for them.
 */
static size_t put_by_id_first(struct match_candidates *candidates, size_t first)
{
	size_t place = first;
	for (size_t i = first; i < candidates->count; i++) {
		struct match_candidate candidate = candidates->items[i];
		if (candidate.query->is_by_id) {
			candidates->items[i] = candidates->items[place];
			candidates->items[place++] = candidate;
		}
	}
	return place;
}

static enum err collect_whole(
	struct match_lookup *lookup, const struct looked *looked, size_t place)
{
	struct match_query *whole = looked->collection->whole;
	if (!whole) {
		return OK;
	}
	enum err err = add_candidate(lookup, whole, true);
	if (err == OK) {
		struct match_candidate *items = lookup->candidates.items;
		struct match_candidate last = items[lookup->candidates.count - 1];
		items[lookup->candidates.count - 1] = items[place];
		items[place] = last;
	}
	return err;
}

enum err match_lookup_collect(struct match_lookup *lookup)
{
	const struct looked *looked = &lookup->events[lookup->number];
	struct match_candidates *candidates = &lookup->candidates;
	size_t first = candidates->count;
	enum err err = collect_id(lookup, looked);
	size_t others = put_by_id_first(candidates, first);
	bool is_purge = looked->event->is_purge;
	if (is_purge || !looked->event->document) {
		candidates->count = others;
	}
	if (err == OK && !is_purge) {
		err = collect_whole(lookup, looked, others);
	}
	if (err != OK || is_purge || !looked->event->document) {
		return err;
	}
	err = collect_holding(lookup, looked->holding_first + looked->holding_by_id,
		looked->holding_count - looked->holding_by_id);
	if (err == OK) {
		err = collect_existing(lookup, looked);
	}
	return err == OK ? collect_scope(lookup, &looked->collection->residuals) : err;
}
