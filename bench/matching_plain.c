/*
 * The plain workloads: a chat and a shop. All of them see the same kind of document, of which each
 * uses the fields that it is about; how many rooms, authors and tags there are follows from the
 * number of subscriptions, so that the number of matches does not.
 */
#include "matching_make.h"

#define RANKS 1000000000U /* of `rank` and `score` */
#define PRICE_MAX 10000.0
#define TYPES 4
#define TAGS_EACH 5
#define MATCHES 10 /* wanted, of ranges */
#define IDENTICAL 10000
#define PREFIX_DIGITS 12
#define RESIDUALS 10 /* distinct */
#define RESIDUAL_PRIME 997

static const char *const types[TYPES] = {"text", "image", "video", "notice"};

/* ---- names ----------------------------------------------------------------------------------- */

/* Another number for each, below 2^40, so that names of neighbours are far apart. */
static unsigned long long far(uint64_t number)
{
	return (unsigned long long)(number * 0x9E3779B97FU & 0xFFFFFFFFFFU);
}

static void room_filter(struct making *making, uint64_t room)
{
	making_filter_text(making, "room", "==", "room-%llu", far(room));
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t at_least_one(uint64_t number)
{
	return number > 0 ? number : 1;
}

/* What `part` of the subscriptions are. */
static uint64_t share(const struct making *making, uint64_t percent)
{
	return at_least_one(making->subscriptions * percent / 100);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static void by_id(struct making *making, uint64_t index)
{
	char id[MODEL_UUID_SIZE];
	making_uuid(making, "document", index, id);
	making_filter_text(making, "_id", "==", "%s", id);
}

static void by_room(struct making *making, uint64_t index)
{
	room_filter(making, index % making->rooms);
}

static void by_popular_room(struct making *making, uint64_t index)
{
	(void)index;
	room_filter(making, making_zipf(making));
}

static void by_room_and_type(struct making *making, uint64_t index)
{
	room_filter(making, index % making->rooms);
	making_filter_text(making, "type", "==", "%s", types[index / making->rooms % TYPES]);
}

/* Half of one side, half of two. The width is such that MATCHES hold together. */
static void by_rank(struct making *making, uint64_t index)
{
	if (index % 2 == 0) {
		making_filter_int(making, "rank", ">", (int64_t)making_below(making, RANKS));
		return;
	}
	uint64_t width = least(RANKS, (uint64_t)RANKS * MATCHES / making->subscriptions);
	int64_t low = (int64_t)making_below(making, RANKS);
	making_filter_int(making, "score", ">=", low);
	making_filter_int(making, "score", "<", low + (int64_t)width);
}

static uint64_t symbols_of(const struct making *making)
{
	return at_least_one(least(making->subscriptions / 100, 1000));
}

static double cents(double amount)
{
	return (double)(int64_t)(amount * 100) / 100;
}

/* `books` of the subscriptions are of this kind, and MATCHES of those of a symbol hold. */
static void by_price(struct making *making, uint64_t books)
{
	uint64_t symbols = symbols_of(making);
	double per_symbol = (double)at_least_one(books / symbols);
	double width = PRICE_MAX * (per_symbol > MATCHES ? MATCHES / per_symbol : 1);
	double low = making_part(making) * PRICE_MAX;
	making_filter_text(
		making, "symbol", "==", "S%llu", (unsigned long long)making_below(making, symbols));
	making_filter_real(making, "price", ">", cents(low));
	making_filter_real(making, "price", "<", cents(low + width) + 0.01);
}

static void by_book(struct making *making, uint64_t index)
{
	(void)index;
	by_price(making, making->subscriptions);
}

static void put_path(struct making *making, uint64_t number, int digits)
{
	char all[PREFIX_DIGITS + 5];
	uint64_t mixed = making_mix(making->seed + 1, number);
	for (int i = 0; i < digits; i++) {
		all[i] = "0123456789abcdef"[mixed >> (4 * i) & 15];
	}
	making_print(making, "%.*s", digits, all);
}

/* Prefixes are at least as long as is needed to tell the subscriptions apart, mostly. */
static void by_prefix(struct making *making, uint64_t index)
{
	int least_digits = 1;
	for (uint64_t left = making->subscriptions; left >= 16; left /= 16) {
		least_digits++;
	}
	int more = PREFIX_DIGITS - least_digits + 1;
	making_print(making, "path.startsWith(\"/");
	put_path(making, index,
		least_digits + (more > 0 ? (int)making_below(making, (uint64_t)more) : 0));
	making_print(making, "\")");
}

static void by_tag(struct making *making, uint64_t index)
{
	making_filter_text(making, "tags", "contains", "tag-%llu", far(index % making->tags));
}

static void by_room_or_author(struct making *making, uint64_t index)
{
	making_print(making, "room == \"room-%llu\" || author.name == \"author-%llu\"",
		far(index % making->rooms), far(making_below(making, making->authors)));
}

static void by_other_author(struct making *making, uint64_t index)
{
	room_filter(making, index % making->rooms);
	making_filter_text(making, "author.name", "!=", "author-%llu",
		far(index / making->rooms % making->authors));
}

static void by_rooms(struct making *making)
{
	uint64_t rooms[3];
	for (size_t i = 0; i < 3; i++) {
		rooms[i] = far(making_below(making, making->rooms));
	}
	making_filter_list(making, "room", "room-", rooms, 3);
}

/* No access predicate: only running it tells. There are few distinct ones. */
static void by_residual(struct making *making)
{
	making_print(making, "(likes * 31 + size(text)) %% %d == %llu", RESIDUAL_PRIME,
		(unsigned long long)making_below(making, RESIDUALS));
}

static void by_mix(struct making *making, uint64_t index)
{
	uint64_t kind = making_below(making, 100);
	uint64_t drawn = making_next(making);
	if (kind < 40) {
		by_room(making, drawn);
	} else if (kind < 60) {
		by_room_and_type(making, drawn);
	} else if (kind < 72) {
		by_price(making, share(making, 12));
	} else if (kind < 80) {
		by_id(making, index);
	} else if (kind < 85) {
		by_rooms(making);
	} else if (kind < 90) {
		by_tag(making, drawn);
	} else if (kind < 94) {
		by_prefix(making, index);
	} else if (kind < 97) {
		by_room_or_author(making, drawn);
	} else if (kind < 99) {
		by_other_author(making, drawn);
	} else {
		by_residual(making);
	}
}

/* ---- the document ---------------------------------------------------------------------------- */

static uint64_t rank_of(struct making *making)
{
	uint64_t most = 2 * (uint64_t)RANKS * MATCHES / making->subscriptions;
	return making_below(making, least(RANKS, most) + 1);
}

static void put_author(struct making *making)
{
	unsigned long long author = far(making_below(making, making->authors));
	making_print(making,
		",\"author\":{\"name\":\"author-%llu\",\"verified\":%s,\"avatar\":"
		"\"https://images.example.com/%llx.png\"}",
		author, making_chance(making, 30) ? "true" : "false", author);
}

static void put_tags(struct making *making)
{
	making_print(making, ",\"tags\":[");
	for (size_t i = 0; i < TAGS_EACH; i++) {
		making_print(making, "%s\"tag-%llu\"", i > 0 ? "," : "",
			far(making_below(making, making->tags)));
	}
	making_print(making, "]");
}

static void put_attachments(struct making *making)
{
	uint64_t count = making_below(making, 3);
	making_print(making, ",\"replyTo\":null,\"attachments\":[");
	for (uint64_t i = 0; i < count; i++) {
		making_print(making, "%s{\"kind\":\"image\",\"bytes\":%llu,\"width\":1280}",
			i > 0 ? "," : "", (unsigned long long)making_below(making, 4000000));
	}
	making_print(making, "]");
}

static void fill(struct making *making, uint64_t number)
{
	(void)number;
	uint64_t room =
		making->zipf.count > 0 ? making_zipf(making) : making_below(making, making->rooms);
	making_print(making, "\"room\":\"room-%llu\",\"type\":\"%s\"", far(room),
		types[making_below(making, TYPES)]);
	put_author(making);
	making_print(making, ",\"symbol\":\"S%llu\",\"price\":%.2f,\"rank\":%llu,\"score\":%llu",
		(unsigned long long)making_below(making, symbols_of(making)),
		making_part(making) * PRICE_MAX, (unsigned long long)rank_of(making),
		(unsigned long long)making_below(making, RANKS));
	put_tags(making);
	making_print(making, ",\"path\":\"/");
	put_path(making, making_below(making, making->subscriptions), PREFIX_DIGITS);
	making_print(making, "/%llx\",\"likes\":%llu,\"edited\":false",
		(unsigned long long)making_below(making, 1U << 24),
		(unsigned long long)making_below(making, 100000));
	put_attachments(making);
	making_print(making, ",\"text\":\"");
	making_words(making, 20 + making_below(making, 180));
	making_print(making, "\"");
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The variant is how many subscriptions there are to a room. */
static void prepare(struct making *making)
{
	making->rooms = at_least_one(making->subscriptions / making->workload->variant);
	making->authors = at_least_one(making->subscriptions);
	making->tags = at_least_one(making->subscriptions / 2);
}

static void prepare_zipf(struct making *making)
{
	prepare(making);
	making_zipf_init(making, making->rooms);
}

static void prepare_authors(struct making *making)
{
	prepare(making);
	making->authors = 16;
}

/* Ten equalities to a room, and one `contains` to a tag. */
static void prepare_mix(struct making *making)
{
	making->rooms = at_least_one(share(making, 40) / 10);
	making->authors = 1000;
	making->tags = share(making, 5);
}

const struct matching_workload matching_plain[] = {
	{"document-id", "_id == c", by_id, fill, prepare, "messages", .variant = 1,
		.has_watched_ids = true},
	{"equality", "room == c", by_room, fill, prepare, "messages", .variant = 1},
	{"conjunction", "room == c && type == c", by_room_and_type, fill, prepare, "messages",
		.variant = TYPES},
	{"range", "rank > c, score in a window; 10 hold", by_rank, fill, prepare, "messages",
		.variant = 1},
	{"book", "symbol == c, price in a window; 10 hold", by_book, fill, prepare, "messages",
		.variant = 1},
	{"fanout", "10,000 identical, copied to 16 streams", by_room, fill, prepare, "messages",
		.variant = IDENTICAL, .copies_ids = true},
	{"zipf", "room == c, a few very popular", by_popular_room, fill, prepare_zipf, "messages",
		.variant = 10},
	{"prefix", "path.startsWith(c)", by_prefix, fill, prepare, "messages", .variant = 1},
	{"contains", "tags contains c; 10 hold", by_tag, fill, prepare, "messages", .variant = 1},
	{"or", "room == c || author.name == c", by_room_or_author, fill, prepare, "messages",
		.variant = 1},
	{"not-equal", "room == c && author.name != c", by_other_author, fill, prepare_authors,
		"messages", .variant = 4},
	{"mixed", "ten kinds, 1 % of them residual", by_mix, fill, prepare_mix, "messages",
		.variant = 1, .has_watched_ids = true},
	{0},
};
