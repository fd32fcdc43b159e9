/*
 * Functions and arithmetic of timestamps and durations. A sum is made in 64 bits with every
 * overflow looked for; a timestamp's nanoseconds count upwards from its second, before 1970 too.
 */
#include "function_priv.h"
#include "time_priv.h"

/* ---- arithmetic ------------------------------------------------------------------------------ */

static struct cel_value timestamp_error(void)
{
	return cel_error(CEL_FAILED_RANGE, "a timestamp outside of the years 1 to 9999");
}

static struct cel_value duration_error(void)
{
	return cel_error(CEL_FAILED_RANGE, "a duration beyond 292 years");
}

/* `nanoseconds` is less than two seconds. */
static struct cel_value make_timestamp(int64_t seconds, int64_t nanoseconds)
{
	seconds += nanoseconds / NANOSECONDS;
	if (seconds < CEL_SECONDS_MIN || seconds > CEL_SECONDS_MAX) {
		return timestamp_error();
	}
	return cel_timestamp(seconds, (uint32_t)(nanoseconds % NANOSECONDS));
}

/* A duration's whole seconds, rounded down, and the nanoseconds behind them. */
static int64_t split(struct cel_value duration, int64_t *ret_nanoseconds)
{
	int64_t rest = duration.as.integer % NANOSECONDS;
	*ret_nanoseconds = rest < 0 ? rest + NANOSECONDS : rest;
	return duration.as.integer / NANOSECONDS - (rest < 0 ? 1 : 0);
}

struct cel_value cel_time_add(struct cel_value timestamp, struct cel_value duration)
{
	int64_t nanoseconds = 0;
	int64_t seconds = split(duration, &nanoseconds);
	return make_timestamp(timestamp.as.integer + seconds, timestamp.size + nanoseconds);
}

struct cel_value cel_time_subtract(struct cel_value timestamp, struct cel_value duration)
{
	int64_t nanoseconds = 0;
	int64_t seconds = split(duration, &nanoseconds);
	return make_timestamp(timestamp.as.integer - seconds - 1,
		(int64_t)timestamp.size + NANOSECONDS - nanoseconds);
}

/* The part below a second gets the sign of the rest, so that nothing overflows but the result. */
struct cel_value cel_time_between(struct cel_value timestamp, struct cel_value earlier)
{
	int64_t seconds = timestamp.as.integer - earlier.as.integer;
	int64_t nanoseconds = (int64_t)timestamp.size - (int64_t)earlier.size;
	if (seconds < 0 && nanoseconds > 0) {
		seconds += 1;
		nanoseconds -= NANOSECONDS;
	} else if (seconds > 0 && nanoseconds < 0) {
		seconds -= 1;
		nanoseconds += NANOSECONDS;
	}
	int64_t total = 0;
	if (__builtin_mul_overflow(seconds, (int64_t)NANOSECONDS, &total) ||
		__builtin_add_overflow(total, nanoseconds, &total)) {
		return duration_error();
	}
	return cel_duration(total);
}

/* ---- conversions ----------------------------------------------------------------------------- */

struct cel_value cel_call_timestamp(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value timestamp = {0};
	enum err err = cel_read_timestamp(cel_text(arguments[0]), &timestamp);
	if (err == ERR_INVALID) {
		return cel_error(
			CEL_FAILED_ARGUMENT, "text that is no timestamp: 2026-01-31T08:00:00Z is");
	}
	return err == OK ? timestamp : timestamp_error();
}

struct cel_value cel_call_timestamp_of_int(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return make_timestamp(arguments[0].as.integer, 0);
}

struct cel_value cel_call_int_of_timestamp(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.integer);
}

struct cel_value cel_call_duration(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_value duration = {0};
	enum err err = cel_read_duration(cel_text(arguments[0]), &duration);
	if (err == ERR_INVALID) {
		return cel_error(
			CEL_FAILED_ARGUMENT, "text that is no duration: 1h30m, 1.5s and 20ms are");
	}
	return err == OK ? duration : duration_error();
}

/* ---- parts of a timestamp -------------------------------------------------------------------- */

/* An int made of what calendar and clock show, in UTC or in the zone of a second argument. */
static struct cel_value part_of(struct cel_run *run, const struct cel_value *arguments,
	size_t count, int64_t (*part)(const struct cel_civil *civil))
{
	int64_t offset = 0;
	enum err err = count > 1
		? cel_zone_offset(cel_text(arguments[1]), arguments[0].as.integer, &offset)
		: OK;
	if (err == ERR_MEMORY) {
		return cel_out_of_memory(run);
	}
	if (err != OK) {
		return cel_error(CEL_FAILED_ARGUMENT,
			"no time zone of this system: UTC, +01:00 or Europe/Berlin may be");
	}
	struct cel_civil civil = cel_civil(arguments[0].as.integer + offset);
	return cel_int(part(&civil));
}

static int64_t year_of(const struct cel_civil *civil)
{
	return civil->year;
}

static int64_t month_of(const struct cel_civil *civil)
{
	return civil->month;
}

static int64_t date_of(const struct cel_civil *civil)
{
	return civil->day;
}

static int64_t day_of_month_of(const struct cel_civil *civil)
{
	return civil->day - 1;
}

static int64_t day_of_year_of(const struct cel_civil *civil)
{
	return civil->year_day;
}

static int64_t day_of_week_of(const struct cel_civil *civil)
{
	return civil->week_day;
}

static int64_t hour_of(const struct cel_civil *civil)
{
	return civil->hour;
}

static int64_t minute_of(const struct cel_civil *civil)
{
	return civil->minute;
}

static int64_t second_of(const struct cel_civil *civil)
{
	return civil->second;
}

struct cel_value cel_call_get_full_year(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, year_of);
}

struct cel_value cel_call_get_month(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, month_of);
}

struct cel_value cel_call_get_date(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, date_of);
}

struct cel_value cel_call_get_day_of_month(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, day_of_month_of);
}

struct cel_value cel_call_get_day_of_year(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, day_of_year_of);
}

struct cel_value cel_call_get_day_of_week(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, day_of_week_of);
}

struct cel_value cel_call_get_hours(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, hour_of);
}

struct cel_value cel_call_get_minutes(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, minute_of);
}

struct cel_value cel_call_get_seconds(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	return part_of(run, arguments, count, second_of);
}

/* The zone does not matter, but must be one. */
struct cel_value cel_call_get_milliseconds(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	struct cel_value second = part_of(run, arguments, count, second_of);
	return cel_is_error(second) ? second : cel_int(arguments[0].size / 1000000);
}

/* ---- parts of a duration --------------------------------------------------------------------- */

struct cel_value cel_call_duration_hours(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.integer / NANOSECONDS / 3600);
}

struct cel_value cel_call_duration_minutes(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.integer / NANOSECONDS / 60);
}

struct cel_value cel_call_duration_seconds(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.integer / NANOSECONDS);
}

struct cel_value cel_call_duration_milliseconds(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.integer % NANOSECONDS / 1000000);
}
