/*
 * Time zones. A zone of the database is read from its file at each use, and nothing is kept: no
 * state of the process, no function of the system that looks at TZ. A file is not trusted: every
 * count is held against its size. A name is letters, digits, `_`, `+`, `-` and `/` only, so that no
 * path leaves the database's folder.
 */
#include "time_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo/"
#define NAME_BYTES_MAX 64
#define FILE_BYTES_MAX 65536
#define HEADER_BYTES 44

/* ---- fixed offsets --------------------------------------------------------------------------- */

static bool read_two_digits(const char *text, int most, int *ret_number)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
		return false;
	}
	*ret_number = (text[0] - '0') * 10 + (text[1] - '0');
	return *ret_number <= most;
}

/* +hh:mm, -hh:mm or hh:mm */
static bool read_fixed(struct bytes zone, int64_t *ret_offset)
{
	bool has_sign = zone.size == 6 && (zone.data[0] == '+' || zone.data[0] == '-');
	if (!has_sign && zone.size != 5) {
		return false;
	}
	const char *digits = zone.data + (has_sign ? 1 : 0);
	int hours = 0;
	int minutes = 0;
	if (!read_two_digits(digits, 23, &hours) || digits[2] != ':' ||
		!read_two_digits(digits + 3, 59, &minutes)) {
		return false;
	}
	int64_t offset = hours * 3600 + minutes * 60;
	*ret_offset = zone.data[0] == '-' ? -offset : offset;
	return true;
}

/* ---- the rule at the end of a file ----------------------------------------------------------- */

/* What remains of a rule; a byte that is missing reads as NUL. */
struct rule {
	const char *at, *end;
};

static char peek(const struct rule *rule)
{
	return (char)(rule->at < rule->end ? *rule->at : '\0');
}

static bool take(struct rule *rule, char byte)
{
	bool is_there = rule->at < rule->end && *rule->at == byte;
	rule->at += is_there ? 1 : 0;
	return is_there;
}

static bool take_number(struct rule *rule, int least, int most, int *ret_number)
{
	int number = 0;
	const char *start = rule->at;
	while (peek(rule) >= '0' && peek(rule) <= '9' && rule->at - start < 4) {
		number = number * 10 + (*rule->at++ - '0');
	}
	*ret_number = number;
	return rule->at > start && number >= least && number <= most;
}

/* Letters, or anything between < and >. */
static bool take_abbreviation(struct rule *rule)
{
	const char *start = rule->at;
	if (take(rule, '<')) {
		while (rule->at < rule->end && *rule->at != '>') {
			rule->at++;
		}
		return take(rule, '>');
	}
	while ((peek(rule) >= 'A' && peek(rule) <= 'Z') ||
		(peek(rule) >= 'a' && peek(rule) <= 'z')) {
		rule->at++;
	}
	return rule->at > start;
}

/* [+-]h[:m[:s]], in seconds. */
static bool take_clock(struct rule *rule, int64_t *ret_seconds)
{
	bool is_negative = take(rule, '-');
	if (!is_negative) {
		(void)take(rule, '+');
	}
	int hours = 0;
	int minutes = 0;
	int seconds = 0;
	bool is_fine = take_number(rule, 0, 167, &hours);
	if (is_fine && take(rule, ':')) {
		is_fine = take_number(rule, 0, 59, &minutes);
	}
	if (is_fine && take(rule, ':')) {
		is_fine = take_number(rule, 0, 59, &seconds);
	}
	int64_t total = (int64_t)hours * 3600 + (int64_t)minutes * 60 + seconds;
	*ret_seconds = is_negative ? -total : total;
	return is_fine;
}

/* The day number `week_day` of the month, the last one for week 5; in days since 1970. */
static int64_t day_of_week_in_month(int64_t year, int month, int week, int week_day)
{
	int64_t first = cel_days_of_date(year, month, 1);
	int first_week_day = cel_civil(first * SECONDS_OF_DAY).week_day;
	int day = (week_day - first_week_day + 7) % 7 + (week - 1) * 7;
	return first + (day < cel_days_of_month(year, month) ? day : day - 7);
}

/* ,Mm.w.d or ,Jn or ,n with an optional /time: the local time of the change in that year. */
static bool take_change(struct rule *rule, int64_t year, int64_t *ret_seconds)
{
	int month = 0;
	int week = 0;
	int number = 0;
	int64_t day = 0;
	if (!take(rule, ',')) {
		return false;
	}
	if (take(rule, 'M')) {
		if (!take_number(rule, 1, 12, &month) || !take(rule, '.') ||
			!take_number(rule, 1, 5, &week) || !take(rule, '.') ||
			!take_number(rule, 0, 6, &number)) {
			return false;
		}
		day = day_of_week_in_month(year, month - 1, week, number);
	} else {
		bool is_without_leap_day = take(rule, 'J');
		if (!take_number(rule, is_without_leap_day ? 1 : 0, 365, &number)) {
			return false;
		}
		bool is_behind = is_without_leap_day && number > 59 && cel_is_leap_year(year);
		day = cel_days_of_date(year, 0, 1) + number -
			(is_without_leap_day && !is_behind ? 1 : 0);
	}
	int64_t clock = 7200; /* two o'clock, if it does not say */
	if (take(rule, '/') && !take_clock(rule, &clock)) {
		return false;
	}
	*ret_seconds = day * SECONDS_OF_DAY + clock;
	return true;
}

/* std offset [dst [offset] ,start,end]: POSIX counts offsets westwards. */
static bool apply_rule(struct rule rule, int64_t seconds, int64_t *ret_offset)
{
	int64_t standard = 0;
	if (!take_abbreviation(&rule) || !take_clock(&rule, &standard)) {
		return false;
	}
	*ret_offset = -standard;
	if (rule.at == rule.end) {
		return true;
	}
	int64_t summer = standard - 3600;
	int64_t start = 0;
	int64_t end = 0;
	int64_t year = cel_civil(seconds - standard).year;
	if (!take_abbreviation(&rule) || (peek(&rule) != ',' && !take_clock(&rule, &summer)) ||
		!take_change(&rule, year, &start) || !take_change(&rule, year, &end)) {
		return false;
	}
	start += standard;
	end += summer;
	bool is_summer =
		start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
	*ret_offset = is_summer ? -summer : -standard;
	return rule.at == rule.end;
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_i64(const uint8_t *at)
{
	return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

/* A block of a file: what its header counts. */
struct block {
	size_t utc, standard, leaps, times, types, letters;
};

static bool read_header(const uint8_t *file, size_t size, struct block *ret_block)
{
	if (size < HEADER_BYTES || memcmp(file, "TZif", 4) != 0) {
		return false;
	}
	*ret_block = (struct block){
		.utc = read_u32(file + 20),
		.standard = read_u32(file + 24),
		.leaps = read_u32(file + 28),
		.times = read_u32(file + 32),
		.types = read_u32(file + 36),
		.letters = read_u32(file + 40),
	};
	return true;
}

/* Header included; counts are of 32 bits, so this cannot overflow. */
static uint64_t block_bytes(const struct block *block, uint64_t time_bytes)
{
	return HEADER_BYTES + block->times * (time_bytes + 1) + block->types * 6ULL +
		block->letters + block->leaps * (time_bytes + 4) + block->standard + block->utc;
}

/* How many of the transitions are not after this moment. */
static size_t transitions_until(const uint8_t *times, size_t count, int64_t seconds)
{
	size_t low = 0;
	size_t high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (read_i64(times + middle * 8) <= seconds) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Of the block of 64 bits, which goes up to the rule. */
static bool search(const uint8_t *data, size_t size, int64_t seconds, int64_t *ret_offset)
{
	struct block block = {0};
	if (!read_header(data, size, &block) || block.types == 0 || block.leaps > 0 ||
		block_bytes(&block, 8) > size) {
		return false;
	}
	const uint8_t *times = data + HEADER_BYTES;
	const uint8_t *indexes = times + block.times * 8;
	const uint8_t *types = indexes + block.times;
	size_t passed = transitions_until(times, block.times, seconds);
	const char *rule = (const char *)data + block_bytes(&block, 8);
	const char *end = (const char *)data + size;
	if (passed == block.times && end - rule > 2 && rule[0] == '\n' && end[-1] == '\n') {
		return apply_rule((struct rule){rule + 1, end - 1}, seconds, ret_offset);
	}
	size_t type = passed > 0 ? indexes[passed - 1] : 0;
	if (type >= block.types) {
		return false;
	}
	*ret_offset = (int32_t)read_u32(types + type * 6);
	return true;
}

/* The block of 32 bits comes first; files without one of 64 bits are not used. */
static bool search_file(const uint8_t *file, size_t size, int64_t seconds, int64_t *ret_offset)
{
	struct block block = {0};
	if (!read_header(file, size, &block) || file[4] < '2') {
		return false;
	}
	uint64_t skip = block_bytes(&block, 4);
	return skip < size && search(file + skip, size - skip, seconds, ret_offset);
}

static bool is_name(struct bytes name)
{
	bool is_fine = name.size > 0 && name.size <= NAME_BYTES_MAX && name.data[0] != '/';
	for (size_t i = 0; is_fine && i < name.size; i++) {
		char byte = name.data[i];
		is_fine = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
			(byte >= '0' && byte <= '9') || byte == '_' || byte == '+' || byte == '-' ||
			byte == '/';
	}
	return is_fine;
}

/* The file's size, 0 if it cannot be had or is larger than a zone's file can be. */
static size_t read_file(int file, uint8_t *ret_content)
{
	size_t size = 0;
	ssize_t got = 1;
	while (got > 0 && size < FILE_BYTES_MAX) {
		got = read(file, ret_content + size, FILE_BYTES_MAX - size);
		size += got > 0 ? (size_t)got : 0;
	}
	return got == 0 ? size : 0;
}

static enum err search_database(struct bytes name, int64_t seconds, int64_t *ret_offset)
{
	char path[sizeof(FOLDER) + NAME_BYTES_MAX];
	(void)snprintf(path, sizeof(path), FOLDER "%.*s", (int)name.size, name.data);
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0) {
		return ERR_INVALID;
	}
	struct stat status = {0};
	uint8_t *content = NULL;
	enum err err = ERR_INVALID;
	if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
		content = mem_alloc(FILE_BYTES_MAX);
		err = content ? OK : ERR_MEMORY;
	}
	if (err == OK) {
		size_t size = read_file(file, content);
		err = search_file(content, size, seconds, ret_offset) ? OK : ERR_INVALID;
	}
	mem_free(content);
	(void)close(file);
	return err;
}

enum err cel_zone_offset(struct bytes zone, int64_t seconds, int64_t *ret_offset)
{
	if (bytes_equal(zone, bytes_of("UTC"))) {
		*ret_offset = 0;
		return OK;
	}
	if (read_fixed(zone, ret_offset)) {
		return OK;
	}
	return is_name(zone) ? search_database(zone, seconds, ret_offset) : ERR_INVALID;
}
