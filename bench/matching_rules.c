/*
 * The workload `rules`: the kinds of rule that event routers know, over parcels of a city as
 * GeoJSON features of about 900 bytes. Every number of a parcel is drawn by itself, so that each
 * kind of rule has as many matches as it would alone: about one, where nothing else is said.
 */
#include "matching_make.h"

enum kind { EXACT, PREFIX, WILDCARD, NUMERIC, ANYTHING_BUT, ARRAYS, KINDS };

#define LOTS 10 /* of a block: rules that differ in the end of a wildcard only */
#define STREETS 2000
#define NEIGHBOURS 8 /* streets, one of which an anything-but excludes */
#define ZONES_EACH 4
#define CORNERS 6
#define WEST (-122.52)
#define WIDTH 0.17
#define SOUTH 37.70

/* How many rules there are of each kind. */
static uint64_t each(const struct making *making)
{
	uint64_t kinds = making->workload->variant == KINDS ? KINDS : 1;
	return making->subscriptions / kinds + 1;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void exact(struct making *making, uint64_t number)
{
	making_filter_text(making, "type", "==", "Feature");
	making_filter_text(
		making, "properties.MAPBLKLOT", "==", "%08llu", (unsigned long long)number);
}

static void prefix(struct making *making, uint64_t number)
{
	making_print(making, "type == \"Feature\" && properties.BLKLOT.startsWith(\"%08llu\")",
		(unsigned long long)number);
}

static void wildcard(struct making *making, uint64_t number)
{
	making_print(making,
		"properties.PARCEL.startsWith(\"%07llu\") && "
		"properties.PARCEL.endsWith(\"00%llu\")",
		(unsigned long long)(number / LOTS), (unsigned long long)(number % LOTS));
}

static void numeric(struct making *making)
{
	double west = WEST + making_part(making) * WIDTH;
	making_filter_text(making, "geometry.type", "==", "Polygon");
	making_filter_real(making, "geometry.first.x", ">=", west);
	making_filter_real(making, "geometry.first.x", "<", west + WIDTH / (double)each(making));
}

static void anything_but(struct making *making, uint64_t number)
{
	uint64_t street = (number + making_below(making, NEIGHBOURS)) % STREETS;
	making_filter_text(
		making, "properties.STREET", "!=", "STREET %llu", (unsigned long long)street);
	making_filter_text(
		making, "properties.BLOCK_NUM", "==", "%07llu", (unsigned long long)number);
}

static void arrays(struct making *making, uint64_t number)
{
	making_filter_text(making, "type", "==", "Feature");
	making_filter_text(
		making, "properties.ZONES", "contains", "RH-%llu", (unsigned long long)number);
}

static void subscribe(struct making *making, uint64_t index)
{
	enum kind kind = (enum kind)making->workload->variant;
	uint64_t number = index;
	if (kind == KINDS) {
		kind = (enum kind)(index % KINDS);
		number = index / KINDS;
	}
	switch (kind) {
	case EXACT:
		exact(making, number);
		break;
	case PREFIX:
		prefix(making, number);
		break;
	case WILDCARD:
		wildcard(making, number);
		break;
	case NUMERIC:
		numeric(making);
		break;
	case ANYTHING_BUT:
		anything_but(making, number);
		break;
	case ARRAYS:
	case KINDS:
		arrays(making, number);
		break;
	}
}

/* ---- features -------------------------------------------------------------------------------- */

static unsigned long long number_of(struct making *making)
{
	return (unsigned long long)making_below(making, each(making));
}

static void put_properties(struct making *making)
{
	unsigned long long parcel = number_of(making);
	unsigned long long block = number_of(making);
	making_print(making, "\"type\":\"Feature\",\"properties\":{\"MAPBLKLOT\":\"%08llu\"",
		number_of(making));
	making_print(making, ",\"BLKLOT\":\"%08llu%03llu\",\"PARCEL\":\"%07llu-00%llu\"",
		number_of(making), (unsigned long long)making_below(making, 1000), parcel / LOTS,
		parcel % LOTS);
	making_print(making,
		",\"BLOCK_NUM\":\"%07llu\",\"LOT_NUM\":\"%03llu\",\"STREET\":"
		"\"STREET %llu\",\"ST_TYPE\":%s,\"ODD_EVEN\":\"%c\",\"FROM_ST\":\"%llu\"",
		block, (unsigned long long)making_below(making, 1000), block % STREETS,
		making_chance(making, 80) ? "\"ST\"" : "null",
		making_chance(making, 50) ? 'E' : 'O',
		(unsigned long long)making_below(making, 4000));
	making_print(making, ",\"ZONES\":[");
	for (size_t i = 0; i < ZONES_EACH; i++) {
		/* a quarter of them is somebody's, so that one is of each feature */
		making_print(making, "%s\"RH-%llu\"", i > 0 ? "," : "",
			(unsigned long long)making_below(making, each(making) * ZONES_EACH));
	}
	making_print(making, "]}");
}

static void put_corner(struct making *making, double x, double y)
{
	making_print(making, "[%.12f,%.12f,0.0]", x + making_part(making) / 2000,
		y + making_part(making) / 2000);
}

static void fill(struct making *making, uint64_t number)
{
	(void)number;
	double x = WEST + making_part(making) * WIDTH;
	double y = SOUTH + making_part(making) * WIDTH / 2;
	put_properties(making);
	making_print(making,
		",\"geometry\":{\"type\":\"Polygon\",\"first\":{\"x\":%.12f,\"y\":%.12f},"
		"\"coordinates\":[[",
		x, y);
	for (size_t i = 0; i < CORNERS; i++) {
		making_print(making, "%s", i > 0 ? "," : "");
		put_corner(making, x, y);
	}
	making_print(making, "]]}");
}

const struct matching_workload matching_rules[] = {
	{"rules", "the six kinds below in equal parts", subscribe, fill, NULL, "features",
		.variant = KINDS},
	{"rules-exact", "type == c && MAPBLKLOT == c", subscribe, fill, NULL, "features",
		.variant = EXACT},
	{"rules-prefix", "type == c && BLKLOT.startsWith(c)", subscribe, fill, NULL, "features",
		.variant = PREFIX},
	{"rules-wildcard", "PARCEL is c*c", subscribe, fill, NULL, "features", .variant = WILDCARD},
	{"rules-numeric", "geometry.type == c, x in a window", subscribe, fill, NULL, "features",
		.variant = NUMERIC},
	{"rules-anything-but", "BLOCK_NUM == c && STREET != c", subscribe, fill, NULL, "features",
		.variant = ANYTHING_BUT},
	{"rules-arrays", "type == c && ZONES contains c", subscribe, fill, NULL, "features",
		.variant = ARRAYS},
	{0},
};
