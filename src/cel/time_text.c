/*
 * Dates by arithmetic, and times as text. The calendar is Gregorian throughout, as RFC 3339 has it;
 * no function of the system is asked, so neither TZ nor a locale matters.
 */
#include "time_priv.h"

#include <inttypes.h>

#define DAYS_OF_ERA 146097      /* 400 years */
#define DAYS_BEFORE_1970 719468 /* from the first of March of year 0 */

/* ---- dates ----------------------------------------------------------------------------------- */

bool cel_is_leap_year(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int cel_days_of_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return month == 1 && cel_is_leap_year(year) ? 29 : days[month];
}

/* Rounds down, as / does not for what is negative. */
static int64_t floor_divide(int64_t number, int64_t by)
{
	return number / by - (number % by < 0 ? 1 : 0);
}

/* Years are counted from March on, so that the day that may be missing is their last. */
int64_t cel_days_of_date(int64_t year, int month, int day)
{
	int64_t march_year = month < 2 ? year - 1 : year;
	int64_t era = floor_divide(march_year, 400);
	int64_t year_of_era = march_year - era * 400;
	int64_t months = (month + 10) % 12;
	int64_t day_of_year = (153 * months + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_1970;
}

struct cel_civil cel_civil(int64_t seconds)
{
	int64_t days = floor_divide(seconds, SECONDS_OF_DAY);
	int clock = (int)(seconds - days * SECONDS_OF_DAY);
	int64_t era = floor_divide(days + DAYS_BEFORE_1970, DAYS_OF_ERA);
	int64_t day_of_era = days + DAYS_BEFORE_1970 - era * DAYS_OF_ERA;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				      day_of_era / (DAYS_OF_ERA - 1)) /
		365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t months = (5 * day_of_year + 2) / 153;
	int month = (int)((months + 2) % 12);
	int64_t year = year_of_era + era * 400 + (month < 2 ? 1 : 0);
	return (struct cel_civil){
		.year = year,
		.month = month,
		.day = (int)(day_of_year - (153 * months + 2) / 5 + 1),
		.year_day = (int)(days - cel_days_of_date(year, 0, 1)),
		.week_day = (int)(days + 4 - floor_divide(days + 4, 7) * 7),
		.hour = clock / 3600,
		.minute = clock / 60 % 60,
		.second = clock % 60,
	};
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
	const char *at, *end;
};

static struct reader reader_of(struct bytes text)
{
	const char *start = text.size > 0 ? text.data : "";
	return (struct reader){start, start + text.size};
}

static bool take(struct reader *reader, char byte)
{
	bool is_there = reader->at < reader->end && *reader->at == byte;
	reader->at += is_there ? 1 : 0;
	return is_there;
}

static bool is_digit(const struct reader *reader)
{
	return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* Exactly so many digits, of a number from `least` to `most`. */
static bool take_number(struct reader *reader, int digits, int least, int most, int *ret_number)
{
	int number = 0;
	for (int i = 0; i < digits; i++) {
		if (!is_digit(reader)) {
			return false;
		}
		number = number * 10 + (*reader->at++ - '0');
	}
	*ret_number = number;
	return number >= least && number <= most;
}

/* Behind a point: at least one digit; what is smaller than a nanosecond is dropped. */
static bool take_fraction(struct reader *reader, uint32_t *ret_nanoseconds)
{
	uint32_t nanoseconds = 0;
	uint32_t scale = NANOSECONDS / 10;
	if (!is_digit(reader)) {
		return false;
	}
	for (; is_digit(reader); reader->at++) {
		nanoseconds += (uint32_t)(*reader->at - '0') * scale;
		scale /= 10;
	}
	*ret_nanoseconds = nanoseconds;
	return true;
}

/* Z, or +hh:mm; in seconds ahead of UTC. */
static bool take_offset(struct reader *reader, int *ret_seconds)
{
	*ret_seconds = 0;
	if (take(reader, 'Z')) {
		return true;
	}
	int hours = 0;
	int minutes = 0;
	bool is_negative = take(reader, '-');
	if (!(is_negative || take(reader, '+')) || !take_number(reader, 2, 0, 23, &hours) ||
		!take(reader, ':') || !take_number(reader, 2, 0, 59, &minutes)) {
		return false;
	}
	int seconds = hours * 3600 + minutes * 60;
	*ret_seconds = is_negative ? -seconds : seconds;
	return true;
}

enum err cel_read_timestamp(struct bytes text, struct cel_value *ret_timestamp)
{
	struct reader reader = reader_of(text);
	int year = 0;
	int month = 0;
	int day = 0;
	int hour = 0;
	int minute = 0;
	int second = 0;
	int offset = 0;
	uint32_t nanoseconds = 0;
	bool is_date = take_number(&reader, 4, 0, 9999, &year) && take(&reader, '-') &&
		take_number(&reader, 2, 1, 12, &month) && take(&reader, '-') &&
		take_number(&reader, 2, 1, cel_days_of_month(year, month - 1), &day);
	bool is_time = is_date && take(&reader, 'T') && take_number(&reader, 2, 0, 23, &hour) &&
		take(&reader, ':') && take_number(&reader, 2, 0, 59, &minute) &&
		take(&reader, ':') && take_number(&reader, 2, 0, 59, &second);
	if (is_time && take(&reader, '.')) {
		is_time = take_fraction(&reader, &nanoseconds);
	}
	if (!is_time || !take_offset(&reader, &offset) || reader.at != reader.end) {
		return ERR_INVALID;
	}
	int clock = hour * 3600 + minute * 60 + second;
	int64_t seconds = cel_days_of_date(year, month - 1, day) * SECONDS_OF_DAY + clock - offset;
	if (seconds < CEL_SECONDS_MIN || seconds > CEL_SECONDS_MAX) {
		return ERR_LIMIT;
	}
	*ret_timestamp = cel_timestamp(seconds, nanoseconds);
	return OK;
}

/* A unit's nanoseconds; 0: there is none here. The longer names come before their beginnings. */
static uint64_t take_unit(struct reader *reader)
{
	static const struct {
		const char *name;
		uint64_t nanoseconds;
	} units[] = {
		{"ns", 1},
		{"us", 1000},
		{"\xc2\xb5s", 1000}, /* the micro sign */
		{"\xce\xbcs", 1000}, /* the Greek letter */
		{"ms", 1000000},
		{"s", NANOSECONDS},
		{"m", 60ULL * NANOSECONDS},
		{"h", 3600ULL * NANOSECONDS},
	};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct bytes name = bytes_of(units[i].name);
		if ((size_t)(reader->end - reader->at) >= name.size &&
			bytes_equal((struct bytes){reader->at, name.size}, name)) {
			reader->at += name.size;
			return units[i].nanoseconds;
		}
	}
	return 0;
}

/* One number with its unit. ERR_LIMIT: beyond 64 bits. */
static enum err take_part(struct reader *reader, uint64_t *ret_nanoseconds)
{
	uint64_t whole = 0;
	bool is_too_large = false;
	const char *start = reader->at;
	for (; is_digit(reader); reader->at++) {
		is_too_large = is_too_large || __builtin_mul_overflow(whole, 10U, &whole) ||
			__builtin_add_overflow(whole, (uint64_t)(*reader->at - '0'), &whole);
	}
	size_t digits = (size_t)(reader->at - start);
	const char *fraction = reader->at;
	if (take(reader, '.')) {
		fraction = reader->at;
		while (is_digit(reader)) {
			reader->at++;
		}
	}
	const char *fraction_end = reader->at;
	uint64_t unit = take_unit(reader);
	if (digits + (size_t)(fraction_end - fraction) == 0 || unit == 0) {
		return ERR_INVALID;
	}
	/* from the last digit on, so that any number of them is exact but for what is dropped */
	uint64_t part = 0;
	while (fraction_end > fraction) {
		part = ((uint64_t)(*--fraction_end - '0') * unit + part) / 10;
	}
	if (is_too_large || __builtin_mul_overflow(whole, unit, &whole) ||
		__builtin_add_overflow(whole, part, ret_nanoseconds)) {
		return ERR_LIMIT;
	}
	return OK;
}

enum err cel_read_duration(struct bytes text, struct cel_value *ret_duration)
{
	struct reader reader = reader_of(text);
	bool is_negative = take(&reader, '-');
	if (!is_negative) {
		(void)take(&reader, '+');
	}
	if (reader.end - reader.at == 1 && *reader.at == '0') {
		*ret_duration = cel_duration(0);
		return OK;
	}
	enum err result = reader.at < reader.end ? OK : ERR_INVALID;
	uint64_t total = 0;
	while (reader.at < reader.end) {
		uint64_t part = 0;
		enum err err = take_part(&reader, &part);
		if (err == ERR_INVALID) {
			return err;
		}
		if (err != OK || __builtin_add_overflow(total, part, &total)) {
			result = ERR_LIMIT;
		}
	}
	if (result == OK && total > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
		result = ERR_LIMIT;
	}
	if (result == OK) {
		*ret_duration = cel_duration(is_negative ? (int64_t)(0 - total) : (int64_t)total);
	}
	return result;
}

/* ---- printing -------------------------------------------------------------------------------- */

/* A point and the digits behind it, without zeros at the end; nothing for 0. */
static enum err print_fraction(struct buffer *buffer, uint32_t nanoseconds)
{
	if (nanoseconds == 0) {
		return OK;
	}
	int digits = 9;
	for (; nanoseconds % 10 == 0; nanoseconds /= 10) {
		digits--;
	}
	return buffer_printf(buffer, ".%0*" PRIu32, digits, nanoseconds);
}

enum err cel_print_timestamp(struct buffer *buffer, struct cel_value timestamp)
{
	struct cel_civil civil = cel_civil(timestamp.as.integer);
	enum err err = buffer_printf(buffer, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d", civil.year,
		civil.month + 1, civil.day, civil.hour, civil.minute, civil.second);
	if (err == OK) {
		err = print_fraction(buffer, timestamp.size);
	}
	return err == OK ? buffer_append_text(buffer, "Z") : err;
}

enum err cel_print_duration(struct buffer *buffer, struct cel_value duration)
{
	bool is_negative = duration.as.integer < 0;
	uint64_t nanoseconds =
		is_negative ? 0 - (uint64_t)duration.as.integer : (uint64_t)duration.as.integer;
	enum err err = buffer_printf(
		buffer, "%s%" PRIu64, is_negative ? "-" : "", nanoseconds / NANOSECONDS);
	if (err == OK) {
		err = print_fraction(buffer, (uint32_t)(nanoseconds % NANOSECONDS));
	}
	return err == OK ? buffer_append_text(buffer, "s") : err;
}
