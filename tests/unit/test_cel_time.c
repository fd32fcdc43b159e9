/*
 * cel: timestamps, durations and time zones. The C library's calendar and zones, which read TZ, are
 * the oracle here.
 */
#include "cel_eval.h"

#include "random.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static void test_timestamps(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"string(timestamp('2009-02-13T23:31:30Z'))", "\"2009-02-13T23:31:30Z\""},
		{"string(timestamp('2009-02-13T23:31:30.500Z'))", "\"2009-02-13T23:31:30.5Z\""},
		{"string(timestamp('2009-02-13T23:31:30.0Z'))", "\"2009-02-13T23:31:30Z\""},
		{"string(timestamp('1969-12-31T23:59:59.000000001Z'))",
			"\"1969-12-31T23:59:59.000000001Z\""},
		{"string(timestamp('2009-02-13T23:31:30.1234567899Z'))",
			"\"2009-02-13T23:31:30.123456789Z\""},
		{"string(timestamp('2026-01-01T00:30:00+01:00'))", "\"2025-12-31T23:30:00Z\""},
		{"string(timestamp('2026-01-01T00:30:00-02:30'))", "\"2026-01-01T03:00:00Z\""},
		{"string(timestamp('9999-12-31T23:59:59.999999999Z'))",
			"\"9999-12-31T23:59:59.999999999Z\""},
		{"string(timestamp('0001-01-01T00:00:00Z'))", "\"0001-01-01T00:00:00Z\""},
		{"string(timestamp('2024-02-29T00:00:00Z'))", "\"2024-02-29T00:00:00Z\""},
		{"string(timestamp('2000-02-29T00:00:00Z'))", "\"2000-02-29T00:00:00Z\""},
		{"string(timestamp(0))", "\"1970-01-01T00:00:00Z\""},
		{"string(timestamp(-62135596800))", "\"0001-01-01T00:00:00Z\""},
		{"string(timestamp(253402300799))", "\"9999-12-31T23:59:59Z\""},
		{"timestamp(timestamp(5)) == timestamp(5)", "true"},
		{"timestamp('0000-01-01T00:00:00Z')", "error"},
		{"timestamp('0001-01-01T00:00:00+00:01')", "error"},
		{"timestamp('9999-12-31T23:59:59-00:01')", "error"},
		{"timestamp(-62135596801)", "error"},
		{"timestamp(253402300800)", "error"},
		{"timestamp(9223372036854775807)", "error"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_timestamp_text(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "2009-02-13", "2009-02-13T23:31:30",
		"2009-02-13 23:31:30Z", "2009-02-13t23:31:30Z", "2009-02-13T23:31:30z",
		"2009-2-13T23:31:30Z", "2009-13-01T00:00:00Z", "2009-00-01T00:00:00Z",
		"2009-02-00T00:00:00Z", "2009-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2009-04-31T00:00:00Z", "2009-02-13T24:00:00Z", "2009-02-13T23:60:00Z",
		"2009-02-13T23:59:60Z", "2009-02-13T23:31:30.Z", "2009-02-13T23:31:30,5Z",
		"2009-02-13T23:31:30+0100", "2009-02-13T23:31:30+01", "2009-02-13T23:31:30+24:00",
		"2009-02-13T23:31:30+01:60", "2009-02-13T23:31:30Z ", " 2009-02-13T23:31:30Z",
		"12009-02-13T23:31:30Z", "-009-02-13T23:31:30Z", "2009-02-13T23:31:30ZZ",
		"2009-02-13T23:31Z", "2009-02-13T+1:31:30Z"};
	struct cel_eval eval = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char source[100];
		(void)snprintf(source, sizeof(source), "timestamp('%s')", wrong[i]);
		cel_eval_assert(&eval, bytes_of(source), "error");
		assert_int_equal(eval.failure, CEL_FAILED_ARGUMENT);
	}
	buffer_fini(&eval.text);
}

static void test_durations(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"string(duration('1000000s'))", "\"1000000s\""},
		{"string(duration('1h1m1s1ms1us1ns'))", "\"3661.001001001s\""},
		{"string(duration('1.5h'))", "\"5400s\""},
		{"string(duration('-1.5s'))", "\"-1.5s\""},
		{"string(duration('+.5s'))", "\"0.5s\""},
		{"string(duration('5.s'))", "\"5s\""},
		{"string(duration('0'))", "\"0s\""},
		{"string(duration('-0'))", "\"0s\""},
		{"string(duration('-500ms'))", "\"-0.5s\""},
		{"string(duration('3\\u00b5s'))", "\"0.000003s\""},
		{"string(duration('3\\u03bcs'))", "\"0.000003s\""},
		{"string(duration('0.3333333333333333333h'))", "\"1199.999999999s\""},
		{"string(duration('0.00000000000000000000001s'))", "\"0s\""},
		{"string(duration('9223372036854775807ns'))", "\"9223372036.854775807s\""},
		{"string(duration('-9223372036854775808ns'))", "\"-9223372036.854775808s\""},
		{"duration('9223372036854775808ns')", "error"},
		{"duration('-9223372036854775809ns')", "error"},
		{"duration('320000000000s')", "error"},
		{"duration('-320000000000s')", "error"},
		{"duration('99999999999999999999999h')", "error"},
		{"duration('18446744073709551616ns')", "error"},
		{"duration('')", "error"},
		{"duration('-')", "error"},
		{"duration('1')", "error"},
		{"duration('00')", "error"},
		{"duration('s')", "error"},
		{"duration('.s')", "error"},
		{"duration('1d')", "error"},
		{"duration('1s ')", "error"},
		{"duration(' 1s')", "error"},
		{"duration('1s-1s')", "error"},
		{"duration('1S')", "error"},
		{"duration('1e3s')", "error"},
		{"duration('10000s').getHours()", "2"},
		{"duration('-10000s').getHours()", "-2"},
		{"duration('3730s').getMinutes()", "62"},
		{"duration('3730s').getSeconds()", "3730"},
		{"duration('123.321456789s').getMilliseconds()", "321"},
		{"duration('-1.5s').getMilliseconds()", "-500"},
		{"duration(duration('5s')) == duration('5s')", "true"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_arithmetic(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"string(timestamp('2009-02-13T23:00:00Z') + duration('240s'))",
			"\"2009-02-13T23:04:00Z\""},
		{"string(duration('-1ns') + timestamp(0))", "\"1969-12-31T23:59:59.999999999Z\""},
		{"string(timestamp('0001-01-01T00:00:01.000000001Z') + duration('-999999999ns'))",
			"\"0001-01-01T00:00:00.000000002Z\""},
		{"string(timestamp('0001-01-01T00:00:01.999999999Z') + duration('999999999ns'))",
			"\"0001-01-01T00:00:02.999999998Z\""},
		{"string(timestamp(10) - duration('10.5s'))", "\"1969-12-31T23:59:59.5Z\""},
		{"string(timestamp(10) - duration('-0.5s'))", "\"1970-01-01T00:00:10.5Z\""},
		{"string(timestamp(0) - duration('-9223372036854775808ns'))",
			"\"2262-04-11T23:47:16.854775808Z\""},
		{"timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error"},
		{"timestamp('9999-12-31T23:59:59.999999999Z') + duration('1ns')", "error"},
		{"timestamp('0001-01-01T00:00:00Z') - duration('1ns')", "error"},
		{"string(timestamp(20) - timestamp(10))", "\"10s\""},
		{"string(timestamp('1970-01-01T00:00:00.25Z') - timestamp(1))", "\"-0.75s\""},
		{"string(timestamp(1) - timestamp('1970-01-01T00:00:00.25Z'))", "\"0.75s\""},
		/* the longest of both signs: seconds alone would be too many */
		{"string(timestamp(0) - (timestamp(0) - duration('9223372036854775807ns')))",
			"\"9223372036.854775807s\""},
		{"string(timestamp(0) - (timestamp(0) + duration('9223372036854775807ns')) - "
		 "duration('1ns'))",
			"\"-9223372036.854775808s\""},
		{"string(timestamp(0) - (timestamp(0) - duration('-9223372036854775808ns')))",
			"\"-9223372036.854775808s\""},
		{"string(timestamp('1970-01-01T00:00:00.1Z') - "
		 "(timestamp('1970-01-01T00:00:00.1Z') - duration('9223372036854775807ns')))",
			"\"9223372036.854775807s\""},
		{"string(timestamp('1970-01-01T00:00:00.15Z') - timestamp(9223372037))",
			"\"-9223372036.85s\""},
		{"timestamp('1970-01-01T00:00:00.14Z') - timestamp(9223372037)", "error"},
		{"(timestamp(0) - duration('-9223372036854775808ns')) - timestamp(0)", "error"},
		{"timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')", "error"},
		{"timestamp('0001-01-01T00:00:00Z') - timestamp('9999-12-31T23:59:59Z')", "error"},
		{"duration('200000000000s') + duration('200000000000s')", "error"},
		{"duration('900s') - duration('42s') == duration('858s')", "true"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_zones(void **state)
{
	(void)state;
	static const struct cel_eval_row rows[] = {
		{"timestamp('2009-02-13T23:31:30Z').getDate('+11:00')", "14"},
		{"timestamp('2009-02-13T23:31:30Z').getDayOfMonth('+11:00')", "13"},
		{"timestamp('2009-02-13T02:00:00Z').getDayOfMonth('-02:30')", "11"},
		{"timestamp('2009-02-13T23:31:30Z').getSeconds('-00:00')", "30"},
		{"timestamp('2009-02-13T23:31:30Z').getHours('02:00')", "1"},
		{"timestamp('2009-02-13T23:31:30Z').getHours('UTC')", "23"},
		{"timestamp('2009-02-13T23:31:30Z').getMonth('US/Central')", "1"},
		{"timestamp('2009-02-13T23:31:30Z').getMinutes('Asia/Kathmandu')", "16"},
		{"timestamp('2009-02-13T23:31:20.123456789Z').getMilliseconds('+01:00')", "123"},
		{"timestamp('2024-01-01T00:00:00Z').getFullYear('-00:01')", "2023"},
		/* beyond the list of changes: by the rule, on both hemispheres */
		{"timestamp('2500-07-01T12:00:00Z').getHours('Europe/Berlin')", "14"},
		{"timestamp('2500-01-01T12:00:00Z').getHours('Europe/Berlin')", "13"},
		{"timestamp('2500-07-01T12:00:00Z').getHours('Australia/Sydney')", "22"},
		{"timestamp('2500-01-01T12:00:00Z').getHours('Australia/Sydney')", "23"},
		{"timestamp('2500-01-01T12:00:00Z').getHours('Asia/Kolkata')", "17"},
	};
	CEL_EVAL_ROWS(rows);
}

static void test_zones_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "utc", "+1:00", "+01:0", "+24:00", "+01:60",
		"01-00", "+01:00:00", " +01:00", "Nowhere/Town", "Europe", "Europe/",
		"/Europe/Berlin", "../zoneinfo/UTC", "Europe/../UTC", "Europe/./Berlin", "zone.tab",
		"leapseconds", "/etc/passwd", "Europe/Berlin\\u0000", "\\u0000", "right/UTC", "-",
		"+"};
	struct cel_eval eval = {0};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char source[100];
		(void)snprintf(source, sizeof(source), "timestamp(0).getHours('%s')", wrong[i]);
		cel_eval_assert(&eval, bytes_of(source), "error");
		assert_int_equal(eval.failure, CEL_FAILED_ARGUMENT);
		(void)snprintf(
			source, sizeof(source), "timestamp(0).getMilliseconds('%s')", wrong[i]);
		cel_eval_assert(&eval, bytes_of(source), "error");
	}
	buffer_fini(&eval.text);
}

/* All parts of a moment, as the program has them and as the C library has them. */
static void assert_parts(struct cel_eval *eval, int64_t seconds, const char *zone)
{
	time_t moment = (time_t)seconds;
	struct tm tm;
	assert_non_null(localtime_r(&moment, &tm));
	char argument[64] = "";
	if (zone) {
		(void)snprintf(argument, sizeof(argument), "'%s'", zone);
	}
	char source[1024];
	(void)snprintf(source, sizeof(source),
		"cel.bind(t, timestamp(%" PRId64 "), [t.getFullYear(%s), t.getMonth(%s), "
		"t.getDate(%s), t.getDayOfMonth(%s) + 1, t.getDayOfYear(%s), t.getDayOfWeek(%s), "
		"t.getHours(%s), t.getMinutes(%s), t.getSeconds(%s)])",
		seconds, argument, argument, argument, argument, argument, argument, argument,
		argument, argument);
	char value[256];
	(void)snprintf(value, sizeof(value), "[%d, %d, %d, %d, %d, %d, %d, %d, %d]",
		tm.tm_year + 1900, tm.tm_mon, tm.tm_mday, tm.tm_mday, tm.tm_yday, tm.tm_wday,
		tm.tm_hour, tm.tm_min, tm.tm_sec);
	cel_eval_assert(eval, bytes_of(source), value);
}

static void set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

#define SECONDS_MIN (-62135596800)
#define SECONDS_MAX 253402300799

static int64_t any_second(struct test_random *random, int64_t least, int64_t most)
{
	return least + (int64_t)test_random_below(random, (uint64_t)(most - least) + 1);
}

static void test_calendar_at_random(void **state)
{
	(void)state;
	struct test_random random = test_random_start("calendar");
	struct cel_eval eval = {0};
	set_zone("UTC0");
	assert_parts(&eval, SECONDS_MIN, NULL);
	assert_parts(&eval, SECONDS_MAX, NULL);
	for (int i = 0; i < 2000; i++) {
		int64_t seconds = any_second(&random, SECONDS_MIN, SECONDS_MAX);
		assert_parts(&eval, seconds, NULL);
		char source[200];
		(void)snprintf(source, sizeof(source),
			"int(timestamp(string(timestamp(%" PRId64 ")))) == %" PRId64, seconds,
			seconds);
		cel_eval_assert(&eval, bytes_of(source), "true");
	}
	buffer_fini(&eval.text);
}

/* A zone is passed over where the system's database does not have it. */
static bool has_zone(const char *zone)
{
	char path[100];
	(void)snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", zone);
	return access(path, R_OK) == 0;
}

static void test_zones_at_random(void **state)
{
	(void)state;
	static const char *const zones[] = {"Europe/Berlin", "America/New_York", "America/St_Johns",
		"Australia/Sydney", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca",
		"Asia/Gaza", "America/Sao_Paulo", "Pacific/Apia", "Europe/Dublin", "America/Nuuk",
		"Pacific/Chatham", "Etc/GMT+5", "EST5EDT"};
	struct test_random random = test_random_start("zones");
	struct cel_eval eval = {0};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		if (!has_zone(zones[i])) {
			continue;
		}
		set_zone(zones[i]);
		for (int k = 0; k < 200; k++) {
			/* 1900 to 2100: most changes; then 2100 to 2600: the rule */
			assert_parts(&eval, any_second(&random, -2208988800, 4102444800), zones[i]);
			assert_parts(&eval, any_second(&random, 4102444800, 19880899200), zones[i]);
		}
	}
	set_zone("UTC0");
	buffer_fini(&eval.text);
}

/* The seconds on both sides of each change of a year. */
static void assert_changes(struct cel_eval *eval, time_t start, const char *zone)
{
	for (time_t at = start; at < start + 31622400; at += 1800) {
		time_t last = at - 1;
		struct tm before;
		struct tm after;
		assert_non_null(localtime_r(&last, &before));
		assert_non_null(localtime_r(&at, &after));
		if (before.tm_gmtoff != after.tm_gmtoff) {
			assert_parts(eval, last, zone);
			assert_parts(eval, at, zone);
		}
	}
}

/* In a year whose changes are listed, and in one beyond all lists. */
static void test_zone_changes(void **state)
{
	(void)state;
	static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Sydney",
		"America/Nuuk", "Australia/Lord_Howe"};
	struct cel_eval eval = {0};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		if (has_zone(zones[i])) {
			set_zone(zones[i]);
			assert_changes(&eval, 631152000, zones[i]);
			assert_changes(&eval, 7258118400, zones[i]);
		}
	}
	set_zone("UTC0");
	buffer_fini(&eval.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_timestamp_text),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_zones_refused),
		cmocka_unit_test(test_calendar_at_random),
		cmocka_unit_test(test_zones_at_random),
		cmocka_unit_test(test_zone_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
