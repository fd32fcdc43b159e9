/*
 * cel: the libraries of lists, sets, encoders, optionals, regular expressions and network
 * addresses, as expressions and what they give; and what stops them: steps, memory, a pattern's
 * size.
 */
#include "cel_eval.h"

#include "failing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What an expression gives: the value, "refused", or the kind of the failure. */
struct row {
	const char *expression, *expected;
};

static const char *const failures[] = {
	[CEL_FAILED_NAME] = "name",
	[CEL_FAILED_TYPE] = "type",
	[CEL_FAILED_RANGE] = "range",
	[CEL_FAILED_ARGUMENT] = "argument",
	[CEL_FAILED_BUDGET] = "budget",
	[CEL_FAILED_MEMORY] = "memory",
};

/* `list` is a list of a document: [1, 2.5, "b", 1, [7, [8]]]. */
static void start(struct cel_eval *eval, struct arena *arena, struct cel_value *slot)
{
	static const struct cel_variable list = {.name = {"list", 4}, .type = CEL_DYN};
	const struct value *value = NULL;
	struct err_info info;
	const char *json = "[1, 2.5, \"b\", 1, [7, [8]]]";
	assert_int_equal(json_parse(bytes_of(json), 100, arena, &value, &info), OK);
	*slot = cel_of_document(value);
	*eval = (struct cel_eval){.variables = &list, .slots = slot, .variables_count = 1};
}

static void assert_row(struct cel_eval *eval, struct row row)
{
	cel_eval(eval, bytes_of(row.expression));
	struct bytes found = buffer_bytes(&eval->text);
	if (eval->is_error) {
		found = bytes_of(failures[eval->failure]);
	}
	if (!bytes_equal(found, bytes_of(row.expected))) {
		fail_msg("%s is %.*s, not %s (%s)", row.expression, BYTES_FORMAT(found),
			row.expected, eval->problem.text);
	}
}

static void assert_rows_within(
	const struct row *rows, size_t count, const struct cel_limits *limits)
{
	struct arena arena = {0};
	struct cel_value slot;
	struct cel_eval eval;
	start(&eval, &arena, &slot);
	eval.limits = limits;
	for (size_t i = 0; i < count; i++) {
		assert_row(&eval, rows[i]);
	}
	buffer_fini(&eval.text);
	arena_fini(&arena);
}

static void assert_rows(const struct row *rows, size_t count)
{
	assert_rows_within(rows, count, NULL);
}

static void test_lists_parts(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"lists.range(4)", "[0, 1, 2, 3]"},
		{"lists.range(0)", "[]"},
		{"lists.range(-1)", "range"},
		{"lists.range(4294967296)", "range"},
		{"[1, 2, 3, 4].slice(1, 3)", "[2, 3]"},
		{"[1, 2, 3, 4].slice(0, 4)", "[1, 2, 3, 4]"},
		{"[1, 2, 3, 4].slice(4, 4)", "[]"},
		{"[].slice(0, 0)", "[]"},
		{"[1, 2].slice(1, 3)", "range"},
		{"[1, 2].slice(2, 1)", "range"},
		{"[1, 2].slice(-1, 1)", "range"},
		{"list.slice(1, 3)", "[2.5, \"b\"]"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_lists_flatten(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[1, [2, 3], [4]].flatten()", "[1, 2, 3, 4]"},
		{"[1, [2, [3, 4]]].flatten()", "[1, 2, [3, 4]]"},
		{"[1, [2, [3, [4]]]].flatten(2)", "[1, 2, 3, [4]]"},
		{"[1, [2, [3, [4]]]].flatten(9223372036854775807)", "[1, 2, 3, 4]"},
		{"[1, [2]].flatten(0)", "[1, [2]]"},
		{"[[], 1, []].flatten()", "[1]"},
		{"[[], [[]]].flatten()", "[[]]"},
		{"[1].flatten(-1)", "range"},
		{"list.flatten()", "[1, 2.5, \"b\", 1, 7, [8]]"},
		{"[list, [list]].flatten(3)", "[1, 2.5, \"b\", 1, 7, 8, 1, 2.5, \"b\", 1, 7, [8]]"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_lists_distinct_and_reverse(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[1, 2, 2, 3, 3, 3].distinct()", "[1, 2, 3]"},
		{"[1, 'b', 1u, 1.0, 'b', null, null].distinct()", "[1, \"b\", null]"},
		{"[[1], [1.0], [2]].distinct()", "[[1], [2]]"},
		{"[].distinct()", "[]"},
		{"list.distinct()", "[1, 2.5, \"b\", [7, [8]]]"},
		{"[5, 3, 1].reverse()", "[1, 3, 5]"},
		{"[].reverse()", "[]"},
		{"list.reverse()", "[[7, [8]], 1, \"b\", 2.5, 1]"},
		{"'abc'.reverse()", "\"cba\""},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_lists_sort(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[3, 2, 1, 2].sort()", "[1, 2, 2, 3]"},
		{"[9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 10].sort()", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"},
		{"['b', 'c', 'a', ''].sort()", "[\"\", \"a\", \"b\", \"c\"]"},
		{"lists.range(12000).reverse().sort() == lists.range(12000)", "true"},
		{"[b'b', b'a'].sort()", "[b\"a\", b\"b\"]"},
		{"[true, false].sort()", "[false, true]"},
		{"[2, 1u, 1.5].sort()", "[1u, 1.5, 2]"},
		{"[duration('2s'), duration('1s')].sort().map(d, string(d))", "[\"1s\", \"2s\"]"},
		{"[timestamp(2), timestamp(1)].sort().map(t, int(t))", "[1, 2]"},
		{"[].sort()", "[]"},
		{"[1].sort()", "[1]"},
		{"[1, 'b'].sort()", "type"},
		{"[3, 1, null, 2].sort()", "type"},
		{"[null].sort()", "type"},
		{"[[1]].sort()", "type"},
		{"[1.0, 0.0 / 0.0, 2.0].sort()", "argument"},
		{"[[1, 'x'], [0, 'y'], [1, 'a']].sortBy(e, e[0])",
			"[[0, \"y\"], [1, \"x\"], [1, \"a\"]]"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_lists_first_and_last(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[1, 2].first()", "optional.of(1)"},
		{"[].first()", "optional.none()"},
		{"list.first()", "optional.of(1)"},
		{"[1, 2].last()", "optional.of(2)"},
		{"[].last()", "optional.none()"},
		{"list.last()", "optional.of([7, [8]])"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_sets(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"sets.contains([], [])", "true"},
		{"sets.contains([], [1])", "false"},
		{"sets.contains([1, 2, 3, 4], [2, 3])", "true"},
		{"sets.contains([1, 2.0, 3u], [1.0, 2u, 3])", "true"},
		{"sets.contains([1, 2], [2, 3])", "false"},
		{"sets.contains(list, ['b', 2.5, [7, [8]]])", "true"},
		{"sets.equivalent([], [])", "true"},
		{"sets.equivalent([1], [1, 1])", "true"},
		{"sets.equivalent([1], [1u, 1.0])", "true"},
		{"sets.equivalent([1, 2, 3], [3u, 2.0, 1])", "true"},
		{"sets.equivalent([1, 2], [1])", "false"},
		{"sets.equivalent([1], [1, 2])", "false"},
		{"sets.intersects([1], [])", "false"},
		{"sets.intersects([], [1])", "false"},
		{"sets.intersects([1], [2, 1])", "true"},
		{"sets.intersects([1], ['1', 2])", "false"},
		{"sets.intersects([[1], [2, 3]], [[1, 2], [2, 3.0]])", "true"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_encoders(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"base64.encode(b'')", "\"\""},
		{"base64.encode(b'f')", "\"Zg==\""},
		{"base64.encode(b'fo')", "\"Zm8=\""},
		{"base64.encode(b'foo')", "\"Zm9v\""},
		{"base64.encode(b'foobar')", "\"Zm9vYmFy\""},
		{"base64.encode(b'\\xfb\\xff\\xbf')", "\"+/+/\""},
		{"base64.decode('')", "b\"\""},
		{"base64.decode('Zm9vYmFy')", "b\"foobar\""},
		{"base64.decode('Zm8=')", "b\"fo\""},
		{"base64.decode('Zm8')", "b\"fo\""},
		{"base64.decode('Zg==')", "b\"f\""},
		{"base64.decode('Zg')", "b\"f\""},
		{"base64.decode('Zm9v\\r\\nYmFy\\n')", "b\"foobar\""},
		{"base64.decode('+/+/') == b'\\xfb\\xff\\xbf'", "true"},
		{"base64.decode('Z')", "argument"},
		{"base64.decode('Zg=')", "argument"},
		{"base64.decode('Zg===')", "argument"},
		{"base64.decode('Zm9v=')", "argument"},
		{"base64.decode('Zm9v====')", "argument"},
		{"base64.decode('Zg==Zg==')", "argument"},
		{"base64.decode('Zm-v')", "argument"},
		{"base64.decode('Zm 9v')", "argument"},
		{"base64.decode('=')", "argument"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_optionals(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"optional.of(1)", "optional.of(1)"},
		{"optional.none()", "optional.none()"},
		{"optional.of(null).hasValue()", "true"},
		{"optional.none().hasValue()", "false"},
		{"optional.of(7).value()", "7"},
		{"optional.none().value()", "range"},
		{"optional.none().or(optional.of(2)).value()", "2"},
		{"optional.of(1).or(optional.of(2)).value()", "1"},
		{"optional.none().or(optional.none()).orValue(42)", "42"},
		{"optional.of(1).orValue(2)", "1"},
		{"optional.none().orValue(1 / 0)", "range"},
		{"[null, false, 0, 0u, 0.0, -0.0, '', b'', duration('0s'), timestamp(0)]"
		 ".exists(x, optional.ofNonZeroValue(x).hasValue())",
			"false"},
		{"[[], {}].exists(x, optional.ofNonZeroValue(x).hasValue())", "false"},
		{"[true, 1, 1u, 0.1, ' ', b' ', duration('1ns'), timestamp(1), "
		 "timestamp('1970-01-01T00:00:00.5Z'), int, [0], {0: 0}]"
		 ".all(x, optional.ofNonZeroValue(x).hasValue())",
			"true"},
		{"optional.unwrap([optional.of(1), optional.none(), optional.of('a')])",
			"[1, \"a\"]"},
		{"[optional.none(), optional.of(2)].unwrapOpt()", "[2]"},
		{"[].unwrapOpt()", "[]"},
		{"optional.unwrap([dyn(1)])", "type"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_regex_matches(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"'abcd'.matches('bc')", "true"},
		{"matches('abcd', '^bc')", "false"},
		{"'abcd'.matches('^a.*d$')", "true"},
		{"''.matches('')", "true"},
		{"'x'.matches('')", "true"},
		{"''.matches('^$')", "true"},
		{"'a\\nb'.matches('a.b')", "false"},
		{"'a\\nb'.matches('^b')", "false"},
		{"'a\\nb'.matches('(?m)^b')", "true"},
		{"'😀a😀'.matches('^(a|😀){3}$')", "true"},
		{"'ÄÖ'.matches('^\\\\pL{2}$')", "true"},
		{"'a\\u0000b'.matches('^a\\\\x00b$')", "true"},
		{"'aa'.matches('(a)\\\\1')", "argument"},
		{"'a'.matches('(?=a)')", "argument"},
		{"'a'.matches('(')", "argument"},
		{"'a'.matches('a{1001}')", "argument"},
		{"true || 'a'.matches('(')", "true"},
		{"['a+', 'b'].map(p, 'aab'.matches('^' + p + '$'))", "[false, false]"},
		{"['a+b', '('].exists(p, 'aab'.matches(p))", "true"},
		{"['('].map(p, 'aab'.matches(p))", "argument"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_regex_extract(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"regex.extract('hello world', 'hello(.*)')", "optional.of(\" world\")"},
		{"regex.extract('item-A, item-B', 'item-(\\\\w+)')", "optional.of(\"A\")"},
		{"regex.extract('item-A, item-B', 'item-\\\\w+')", "optional.of(\"item-A\")"},
		{"regex.extract('item-A', '(?:item)-(?:A)')", "optional.of(\"item-A\")"},
		{"regex.extract('HELLO', 'hello')", "optional.none()"},
		{"regex.extract('hello', 'hello(x?)')", "optional.none()"},
		{"regex.extract('ab', 'a(x)?b')", "optional.none()"},
		{"regex.extract('hello', 'x*')", "optional.of(\"\")"},
		{"regex.extract('user@domain', '(.*)@([^.]*)')", "argument"},
		{"regex.extract('a', '[')", "argument"},
		{"regex.extractAll('id:123, id:456', 'id:\\\\d+')", "[\"id:123\", \"id:456\"]"},
		{"regex.extractAll('id:123, id:456', 'id:(\\\\d+)')", "[\"123\", \"456\"]"},
		{"regex.extractAll('id:123', 'x')", "[]"},
		{"regex.extractAll('ab, b, aab', '(a*)b')", "[\"a\", \"aa\"]"},
		{"regex.extractAll('testuser@testdomain', '(.*)@([^.]*)')", "argument"},
		{"regex.extractAll('baac', 'a*')", "[\"\", \"aa\", \"\"]"},
		{"regex.extractAll('ä😀', '')", "[\"\", \"\", \"\"]"},
		{"regex.extractAll('ab ab', '^ab')", "[\"ab\"]"},
		{"regex.extractAll('ab', '\\\\bab|b')", "[\"ab\"]"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_regex_replace(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"regex.replace('hello world hello', 'hello', 'hi')", "\"hi world hi\""},
		{"regex.replace('banana', 'a', 'x', 0)", "\"banana\""},
		{"regex.replace('banana', 'a', 'x', 1)", "\"bxnana\""},
		{"regex.replace('banana', 'a', 'x', 2)", "\"bxnxna\""},
		{"regex.replace('banana', 'a', 'x', 100)", "\"bxnxnx\""},
		{"regex.replace('banana', 'a', 'x', -12)", "\"bxnxnx\""},
		{"regex.replace('foo bar', '(fo)o (ba)r', r'\\2 \\1')", "\"ba fo\""},
		{"regex.replace('foo', 'o', r'[\\0]')", "\"f[o][o]\""},
		{"regex.replace('foo', 'o', r'\\\\')", "\"f\\\\\\\\\""},
		{"regex.replace('ab', '(a)|(b)', r'<\\1|\\2>')", "\"<a|><|b>\""},
		{"regex.replace('abc', '', '-')", "\"-a-b-c-\""},
		{"regex.replace('abc', 'x*', '-')", "\"-a-b-c-\""},
		{"regex.replace('äb', '', '-')", "\"-ä-b-\""},
		{"regex.replace('', 'x', '-')", "\"\""},
		{"regex.replace('', '', '-')", "\"-\""},
		{"regex.replace('aaa', 'a', '')", "\"\""},
		{"regex.replace('test', '(.)', r'\\2')", "argument"},
		{"regex.replace('test', '.', 'a\\\\')", "argument"},
		{"regex.replace('id=123', r'id=(?P<value>\\d+)', r'value: \\values')", "argument"},
		{"regex.replace('foo bar', '(', '-')", "argument"},
		{"regex.replace('abcdefghijk', '(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)', r'\\9\\1')",
			"\"ia\""},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_network_ip(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"string(ip('192.168.0.1'))", "\"192.168.0.1\""},
		{"string(ip('0.0.0.0'))", "\"0.0.0.0\""},
		{"string(ip('2001:DB8::68'))", "\"2001:db8::68\""},
		{"string(ip('2001:0db8:0000:0000:0001:0000:0000:0001'))", "\"2001:db8::1:0:0:1\""},
		{"string(ip('1:0:0:2:0:0:0:3'))", "\"1:0:0:2::3\""},
		{"string(ip('1:2:3:4:5:6:0:8'))", "\"1:2:3:4:5:6:0:8\""},
		{"string(ip('0:0:0:0:0:0:0:0'))", "\"::\""},
		{"string(ip('1::'))", "\"1::\""},
		{"string(ip('::1'))", "\"::1\""},
		{"string(ip('1:2:3:4:5:6:7::'))", "\"1:2:3:4:5:6:7:0\""},
		{"string(ip('64:ff9b::192.0.2.1'))", "\"64:ff9b::c000:201\""},
		{"string(ip('1:2:3:4:5:6:1.2.3.4'))", "\"1:2:3:4:5:6:102:304\""},
		{"ip('::ffff:c0a8:1') == ip('192.168.0.1')", "true"},
		{"ip('::ffff:c0a8:1') == ip('192.168.10.1')", "false"},
		{"string(ip('::ffff:c0a8:1'))", "\"192.168.0.1\""},
		{"ip('::ffff:192.168.0.1')", "argument"},
		{"ip('fe80::1%en0')", "argument"},
		{"ip('2001:db8:::68')", "argument"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_network_texts(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.04', '1..3.4', '1.2.3.4 ', ' "
		 "1.2.3.4',"
		 " '1.2.3.', '0x1.2.3.4', '+1.2.3.4', '99999999999.2.3.4'].exists(a, isIP(a))",
			"false"},
		{"[':', ':::', '1', '1:', ':1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', "
		 "'1:2:3:4:5:6:7:8::',"
		 " '::1:2:3:4:5:6:7:8', '1::2::3', '12345::', 'g::', '::1.2.3', '1.2.3.4::',"
		 " '1:2:3:4:5:6:7:1.2.3.4', '::1 ', '[::1]', '1::2:', '::1%'].exists(a, isIP(a))",
			"false"},
		{"['1.2.3.4', '255.255.255.255', '::', '1::', '::1', "
		 "'ABCD:EF01:2345:6789:abcd:ef01:2345:6789']"
		 ".all(a, isIP(a))",
			"true"},
		{"ip.isCanonical('127.0.0.1')", "true"},
		{"ip.isCanonical('2001:db8::1')", "true"},
		{"ip.isCanonical('2001:DB8::1')", "false"},
		{"ip.isCanonical('2001:db8:0:0:0:0:0:1')", "false"},
		{"ip.isCanonical('::ffff:c0a8:1')", "false"},
		{"ip.isCanonical('127.0.0.1.0')", "argument"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_network_kinds(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"type(ip('::1')) == net.IP && type(cidr('::/0')) == net.CIDR", "true"},
		{"[ip('1.2.3.4').family(), ip('::1').family()]", "[4, 6]"},
		{"['0.0.0.0', '::'].all(a, ip(a).isUnspecified())", "true"},
		{"['0.0.0.1', '::1'].exists(a, ip(a).isUnspecified())", "false"},
		{"['127.0.0.1', '127.9.9.9', '::1'].all(a, ip(a).isLoopback())", "true"},
		{"['128.0.0.1', '::2', '1::1'].exists(a, ip(a).isLoopback())", "false"},
		{"['192.168.0.1', '8.8.8.8', '2001:db8::abcd', 'fd00::1', '240.0.0.1']"
		 ".all(a, ip(a).isGlobalUnicast())",
			"true"},
		{"['0.0.0.0', '255.255.255.255', '127.0.0.1', '169.254.0.1', '224.0.0.1', "
		 "'239.1.1.1', '::',"
		 " '::1', 'fe80::1', 'ff00::1'].exists(a, ip(a).isGlobalUnicast())",
			"false"},
		{"['224.0.0.1', 'ff02::1', 'ff12::1'].all(a, ip(a).isLinkLocalMulticast())",
			"true"},
		{"['224.0.1.1', 'ff01::1', 'fd00::1'].exists(a, ip(a).isLinkLocalMulticast())",
			"false"},
		{"['169.254.1.1', 'fe80::1', 'febf::1'].all(a, ip(a).isLinkLocalUnicast())",
			"true"},
		{"['169.253.1.1', 'fec0::1', 'fd80::1'].exists(a, ip(a).isLinkLocalUnicast())",
			"false"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_network_cidr(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"string(cidr('192.168.0.1/24'))", "\"192.168.0.1/24\""},
		{"string(cidr('2001:DB8::/32'))", "\"2001:db8::/32\""},
		{"['', '/', '1.2.3.4', '1.2.3.4/', '1.2.3.4/33', '1.2.3.4/-1', '1.2.3.4/+1', "
		 "'1.2.3.4/08',"
		 " '1.2.3.4/8/8', '1.2.3.4/ 8', '::/129', '::/', '/8', '1.2.3/8', '1.2.3.4/300',"
		 " '1.2.3.4/99999999999999999999', 'fe80::1%en0/24', '::ffff:192.168.0.1/24',"
		 " '::ffff:c0a8:1/120'].exists(a, isCIDR(a))",
			"false"},
		{"['1.2.3.4/0', '1.2.3.4/32', '::/0', '::/128'].all(a, isCIDR(a))", "true"},
		{"cidr('192.168.0.0/')", "argument"},
		{"cidr('::ffff:192.168.0.1/24')", "argument"},
		{"cidr('127.0.0.1/24') == cidr('127.0.0.1/24')", "true"},
		{"cidr('127.0.0.1/24') == cidr('127.0.0.1/25')", "false"},
		{"cidr('127.0.0.1/24') == cidr('127.0.0.2/24')", "false"},
	};
	assert_rows(rows, COUNT(rows));
}

static void test_network_contains(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))", "true"},
		{"cidr('192.168.0.9/24').containsIP('192.168.0.1')", "true"},
		{"cidr('192.168.0.0/24').containsIP('192.168.1.1')", "false"},
		{"cidr('10.0.0.128/25').containsIP('10.0.0.127')", "false"},
		{"cidr('0.0.0.0/0').containsIP('255.1.2.3')", "true"},
		{"cidr('0.0.0.0/0').containsIP('::1')", "false"},
		{"cidr('2001:db8::/33').containsIP('2001:db8:7fff::1')", "true"},
		{"cidr('2001:db8::/33').containsIP('2001:db8:8000::1')", "false"},
		{"cidr('1.2.3.4/32').containsIP('1.2.3.4')", "true"},
		{"cidr('1.2.3.4/32').containsIP('x')", "argument"},
		{"cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/25'))", "true"},
		{"cidr('192.168.0.0/24').containsCIDR('192.168.0.0/24')", "true"},
		{"cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23')", "false"},
		{"cidr('192.168.0.0/24').containsCIDR('192.168.1.0/25')", "false"},
		{"cidr('::/0').containsCIDR('10.0.0.0/8')", "false"},
		{"cidr('::/0').containsCIDR('10.0.0.0')", "argument"},
		{"cidr('192.168.0.7/24').ip() == ip('192.168.0.7')", "true"},
		{"string(cidr('192.168.7.9/20').masked())", "\"192.168.0.0/20\""},
		{"string(cidr('ffff:ffff::1/17').masked())", "\"ffff:8000::/17\""},
		{"cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')", "true"},
		{"cidr('192.168.0.0/24').isMask()", "true"},
		{"cidr('192.168.0.1/24').isMask()", "false"},
		{"[cidr('1.2.3.4/0').prefixLength(), cidr('::/128').prefixLength()]", "[0, 128]"},
	};
	assert_rows(rows, COUNT(rows));
}

/* ---- what stops them ------------------------------------------------------------------------- */

static void test_steps(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"lists.range(100).size()", "100"},
		{"lists.range(1000000).size()", "budget"},
		{"lists.range(1000).distinct().size()", "budget"},
		{"sets.contains(lists.range(900), lists.range(900))", "budget"},
		{"sets.intersects(lists.range(100).map(i, -1 - i), lists.range(2000))", "budget"},
		{"lists.range(4000).reverse().map(i, i % 7).sort().size()", "budget"},
		{"[lists.range(4000), lists.range(4000)].flatten().flatten().flatten().size()",
			"8000"},
		/* nothing absorbs it */
		{"lists.range(1000).distinct().size() > 0 || true", "budget"},
		{"regex.replace(lists.range(3000).map(i, 'ab').join(), 'b', '').size()", "budget"},
		{"base64.encode(bytes(lists.range(900).map(i, 'abcdefgh').join())).size() > 0",
			"true"},
	};
	struct cel_limits limits = cel_eval_limits;
	limits.steps = 10000;
	assert_rows_within(rows, COUNT(rows), &limits);
}

/* A pattern that is not constant is compiled and dropped each time, and paid for. */
static void test_pattern_steps(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"lists.range(8).map(i, 'a'.matches('a' + string(i))).size()", "8"},
		{"lists.range(20).map(i, 'a'.matches('a' + string(i))).size()", "budget"},
		/* more so if much comes of it */
		{"lists.range(8).map(i, 'a'.matches('\\\\pL' + string(i))).size()", "budget"},
		{"lists.range(7).map(i, 'a'.matches('a{900}' + string(i))).size()", "budget"},
		/* a constant one only for what it looks at */
		{"lists.range(100).map(i, 'a'.matches('a')).size()", "100"},
	};
	struct cel_limits limits = cel_eval_limits;
	limits.steps = 100000;
	assert_rows_within(rows, COUNT(rows), &limits);
}

static void test_memory(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"lists.range(1000).size()", "1000"},
		{"lists.range(list.size() * 1000).size()", "memory"},
		{"lists.range(list.size() * 800000000).size()", "memory"},
		{"lists.range(list.size() * 300).reverse().reverse().reverse().size()", "memory"},
		{"lists.range(list.size() * 300).sort().size()", "memory"},
		{"lists.range(list.size() * 1000).size() > 0 || true", "memory"},
		{"regex.replace(lists.range(list.size() * 100).map(i, 'aaaa').join(), 'a', "
		 "'bbbbbbbbbbbbbbbb').size()",
			"memory"},
		{"regex.extractAll(lists.range(list.size() * 100).map(i, 'aaaa').join(), "
		 "'a').size()",
			"memory"},
		/* room for a pattern is what is left */
		{"lists.range(1000).size() > 0 && ['a'].all(p, 'a'.matches(p))", "true"},
	};
	struct cel_limits limits = cel_eval_limits;
	limits.memory_bytes = 65536;
	limits.steps = 1000000000;
	assert_rows_within(rows, COUNT(rows), &limits);
}

static void test_pattern_size(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"'aaaa'.matches('^a{4}$')", "true"},
		{"'a'.matches('a{1000}')", "argument"},
		{"'a'.matches('(?:(?:abcdefghij){10}){10}')", "argument"},
		{"'a'.matches('(?:[^a]{10}){10}')", "argument"},
		{"'a'.matches('\\\\pL\\\\pL')", "argument"},
		{"['a{1000}'].map(p, 'a'.matches(p))", "argument"},
		{"regex.replace('a', 'a{500}', '')", "argument"},
		{"'a'.matches('a{1000}') || true", "true"},
	};
	struct cel_limits limits = cel_eval_limits;
	limits.regex_bytes = 4096;
	assert_rows_within(rows, COUNT(rows), &limits);
}

/* The list holds each pattern once, and as long as a program uses it. */
static void test_patterns_are_shared(void **state)
{
	(void)state;
	struct arena arena = {0};
	struct cel_regexes *regexes = NULL;
	struct cel_program *programs[3] = {0};
	struct cel_eval eval = {0};
	assert_int_equal(cel_regexes_new(1 << 20, &regexes), OK);
	static const char *const sources[] = {
		"'ab'.matches('a(b)') && 'b'.matches('b')",
		"regex.extract('xab', 'a(b)') == optional.of('b')",
		"'ab'.matches('a(b)') && !'a'.matches('b')",
	};
	for (size_t i = 0; i < COUNT(programs); i++) {
		assert_int_equal(cel_eval_compile(&eval, &arena, bytes_of(sources[i]), regexes,
					 &programs[i]),
			OK);
	}
	for (size_t i = 0; i < COUNT(programs); i++) {
		for (size_t k = i; k < COUNT(programs); k++) {
			eval.text.size = 0;
			cel_eval_program(&eval, programs[k]);
			assert_true(bytes_equal(buffer_bytes(&eval.text), bytes_of("true")));
		}
		cel_program_unref(programs[i]);
	}
	cel_regexes_free(regexes); /* aborts if one is still held */
	buffer_fini(&eval.text);
	arena_fini(&arena);
}

/* Each allocation fails in turn: the answer is the right one, or lack of memory. */
static void test_lack_of_memory(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"[3, 1, 2].sort().reverse().slice(0, 2).distinct()", "[3, 2]"},
		{"[[1], [2, [3]]].flatten(2).last()", "optional.of(3)"},
		{"sets.equivalent([1, 2], [2, 1, 1])", "true"},
		{"base64.decode(base64.encode(b'abc'))", "b\"abc\""},
		{"optional.ofNonZeroValue(1).or(optional.none()).value()", "1"},
		{"regex.replace('banana', '(a)', r'<\\1>', 2) + string('a'.matches('b'))",
			"\"b<a>n<a>nafalse\""},
		{"['a'].map(p, regex.extractAll('banana', p).size())", "[3]"},
		{"string(cidr('10.1.2.3/8').masked())", "\"10.0.0.0/8\""},
		{"ip.isCanonical('::1')", "true"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool has_failed = true;
		for (size_t fail_at = 0; has_failed; fail_at++) {
			struct cel_eval eval = {0};
			struct failing failing;
			failing_start(&failing, fail_at);
			cel_eval(&eval, bytes_of(rows[i].expression));
			has_failed = failing_stop(&failing);
			bool is_right =
				bytes_equal(buffer_bytes(&eval.text), bytes_of(rows[i].expected));
			bool lacks = eval.err == ERR_MEMORY ||
				(eval.is_error && eval.failure == CEL_FAILED_MEMORY);
			if (has_failed ? !is_right && !lacks : !is_right) {
				fail_msg("%s, allocation %zu: %.*s", rows[i].expression, fail_at,
					BYTES_FORMAT(buffer_bytes(&eval.text)));
			}
			buffer_fini(&eval.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_parts),
		cmocka_unit_test(test_lists_flatten),
		cmocka_unit_test(test_lists_distinct_and_reverse),
		cmocka_unit_test(test_lists_sort),
		cmocka_unit_test(test_lists_first_and_last),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_encoders),
		cmocka_unit_test(test_optionals),
		cmocka_unit_test(test_regex_matches),
		cmocka_unit_test(test_regex_extract),
		cmocka_unit_test(test_regex_replace),
		cmocka_unit_test(test_network_ip),
		cmocka_unit_test(test_network_texts),
		cmocka_unit_test(test_network_kinds),
		cmocka_unit_test(test_network_cidr),
		cmocka_unit_test(test_network_contains),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_pattern_steps),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_pattern_size),
		cmocka_unit_test(test_patterns_are_shared),
		cmocka_unit_test(test_lack_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
