/* Times: dates of the calendar, text, time zones. Days and seconds are counted from 1970, in UTC.
 */
#ifndef CEL_TIME_PRIV_H
#define CEL_TIME_PRIV_H

#include "run_priv.h"

#define CEL_SECONDS_MIN (-62135596800LL) /* 0001-01-01T00:00:00Z */
#define CEL_SECONDS_MAX 253402300799LL   /* 9999-12-31T23:59:59Z */
#define SECONDS_OF_DAY 86400
#define NANOSECONDS 1000000000

/* A moment as the calendar and the clock of some place show it. */
struct cel_civil {
	int64_t year;
	int month;    /* 0: January */
	int day;      /* of the month, from 1 */
	int year_day; /* from 0 */
	int week_day; /* 0: Sunday */
	int hour, minute, second;
};

/* ---- time_text.c ---- */

int64_t cel_days_of_date(int64_t year, int month, int day); /* of the Gregorian calendar */
struct cel_civil cel_civil(int64_t seconds);
bool cel_is_leap_year(int64_t year);
int cel_days_of_month(int64_t year, int month);

/* RFC 3339, and Go's form of durations. ERR_INVALID: it is none; ERR_LIMIT: outside the range. */
enum err cel_read_timestamp(struct bytes text, struct cel_value *ret_timestamp) MUST_CHECK;
enum err cel_read_duration(struct bytes text, struct cel_value *ret_duration) MUST_CHECK;

enum err cel_print_timestamp(struct buffer *buffer, struct cel_value timestamp) MUST_CHECK;
enum err cel_print_duration(struct buffer *buffer, struct cel_value duration) MUST_CHECK;

/* ---- zone.c ---- */

/*
 * What local time is ahead of UTC at that moment, in seconds. `zone` is UTC, an offset such as
 * +01:00, or a name of the system's time zone database. ERR_INVALID: it is none of these;
 * ERR_MEMORY.
 */
enum err cel_zone_offset(struct bytes zone, int64_t seconds, int64_t *ret_offset) MUST_CHECK;

#endif
