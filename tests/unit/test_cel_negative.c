/*
 * cel: what must not parse, or not check, over the names of a change: where it is wrong, and what
 * is said of it. Lines and columns are from 1, columns in code points.
 */
#include "cel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct cel_limits limits = {
	.source_bytes = 10000,
	.depth = 100,
	.nodes = 10000,
	.comprehensions = 4,
	.literal_bytes = 10000,
	.regex_bytes = 1 << 16,
	.memory_bytes = 1 << 20,
	.cost = UINT64_MAX,
	.steps = 100000,
};

static const struct {
	const char *source;
	uint32_t line, column;
	const char *text; /* how what is wrong begins */
} cases[] = {
	{"1 +", 1, 4, "the expression ends too early"},
	{"1 + * 2", 1, 5, "'*' does not belong here"},
	{"(1", 1, 3, "the expression ends too early"},
	{"1)", 1, 2, "')' does not belong here"},
	{"[1, 2", 1, 6, "the expression ends too early"},
	{"[1 2]", 1, 4, "'2' does not belong here"},
	{"[,]", 1, 2, "',' does not belong here"},
	{"[1,,2]", 1, 4, "',' does not belong here"},
	{"{1}", 1, 3, "'}' does not belong here"},
	{"{1: }", 1, 5, "'}' does not belong here"},
	{"{: 1}", 1, 2, "':' does not belong here"},
	{"{1: 2,, 3: 4}", 1, 7, "',' does not belong here"},
	{"{\"a\": 1", 1, 8, "the expression ends too early"},
	{"f(", 1, 3, "the expression ends too early"},
	{"f(1", 1, 4, "the expression ends too early"},
	{"f(1,)", 1, 5, "')' does not belong here"},
	{"f(1 2)", 1, 5, "'2' does not belong here"},
	{"f(,1)", 1, 3, "',' does not belong here"},
	{"a.", 1, 3, "the expression ends too early"},
	{"a..b", 1, 3, "'.' does not belong here"},
	{"a.1", 1, 2, "'.1' does not belong here"},
	{"a.(b)", 1, 3, "'(' does not belong here"},
	{"a[", 1, 3, "the expression ends too early"},
	{"a[]", 1, 3, "']' does not belong here"},
	{"a[1", 1, 4, "the expression ends too early"},
	{"a[1,2]", 1, 4, "',' does not belong here"},
	{".1a", 1, 3, "'a' does not belong here"},
	{"..a", 1, 2, "'.' does not belong here"},
	{"a b", 1, 3, "'b' does not belong here"},
	{"a = 1", 1, 3, "there is no operator '='"},
	{"a === 1", 1, 3, "there is no operator '==='"},
	{"a !== 1", 1, 3, "there is no operator '!=='"},
	{"a == = 1", 1, 6, "there is no operator '='"},
	{"a & b", 1, 3, "there is no operator '&'"},
	{"a | b", 1, 3, "there is no operator '|'"},
	{"a &&", 1, 5, "the expression ends too early"},
	{"a && && b", 1, 6, "'&&' does not belong here"},
	{"|| a", 1, 1, "'||' does not belong here"},
	{"a and b", 1, 3, "'and' does not belong here"},
	{"a or b", 1, 3, "'or' does not belong here"},
	{"not a", 1, 1, "there is no operator 'not'"},
	{"a && not true", 1, 6, "there is no operator 'not'"},
	{"not (a)", 1, 1, "there is no function 'not'"},
	{"a is b", 1, 3, "'is' does not belong here"},
	{"a <> b", 1, 3, "there is no operator '<>'"},
	{"a =< 1", 1, 3, "there is no operator '=<'"},
	{"a => 1", 1, 3, "there is no operator '=>'"},
	{"a ! b", 1, 3, "'!' does not belong here"},
	{"!-a", 1, 2, "'-' does not belong here"},
	{"-!a", 1, 2, "'!' does not belong here"},
	{"!", 1, 2, "the expression ends too early"},
	{"-", 1, 2, "the expression ends too early"},
	{"- -", 1, 4, "the expression ends too early"},
	{"a ? b", 1, 6, "the expression ends too early"},
	{"a ? b :", 1, 8, "the expression ends too early"},
	{"a ? : c", 1, 5, "':' does not belong here"},
	{"a ? b ? c : d : e", 1, 7, "'?' does not belong here"},
	{"? a : b", 1, 1, "'?' does not belong here"},
	{"a : b", 1, 3, "':' does not belong here"},
	{"\"abc", 1, 1, "this text has no end"},
	{"'abc", 1, 1, "this text has no end"},
	{"\"abc'", 1, 1, "this text has no end"},
	{"\"\"\"abc", 1, 1, "this text has no end"},
	{"'''abc''", 1, 1, "this text has no end"},
	{"r\"abc", 1, 1, "this text has no end"},
	{"b\"abc", 1, 1, "this text has no end"},
	{"\"a\\qb\"", 1, 3, "there is no such escape"},
	{"\"\\x4\"", 1, 5, "this escape needs 2 hexadecimal digits"},
	{"\"\\u12\"", 1, 6, "this escape needs 4 hexadecimal digits"},
	{"\"\\U0001F60\"", 1, 11, "this escape needs 8 hexadecimal digits"},
	{"\"\\ud800\"", 1, 2, "this escape is no code point"},
	{"\"\\uDFFF\"", 1, 2, "this escape is no code point"},
	{"\"\\U00110000\"", 1, 2, "this escape is no code point"},
	{"\"\\400\"", 1, 2, "there is no such escape"},
	{"\"\\08\"", 1, 4, "this escape needs 3 octal digits"},
	{"b\"\\u0041\"", 1, 3, "bytes have no \\u and \\U escapes"},
	{"b\"\\U00000041\"", 1, 3, "bytes have no \\u and \\U escapes"},
	{"\"a\\", 1, 1, "this text has no end"},
	{"1.", 1, 3, "the expression ends too early"},
	{"1.e3", 1, 3, "a value of type int has no fields"},
	{"1e", 1, 2, "'e' does not belong here"},
	{"1e+", 1, 2, "'e' does not belong here"},
	{"0x", 1, 2, "'x' does not belong here"},
	{"0xg", 1, 2, "'xg' does not belong here"},
	{"1u2", 1, 3, "'2' does not belong here"},
	{"12abc", 1, 3, "'abc' does not belong here"},
	{"9223372036854775808", 1, 1, "this number is too large for an int"},
	{"-9223372036854775809", 1, 2, "this number is too large for an int"},
	{"18446744073709551616u", 1, 1, "this number is too large for a uint"},
	{"0xffffffffffffffff", 1, 1, "this number is too large for an int"},
	{"1e999", 1, 1, "this number is too large for a double"},
	{"-1e999", 1, 2, "this number is too large for a double"},
	{"1.99e90000009", 1, 1, "this number is too large for a double"},
	{"`a`", 1, 1, "'`a`' does not belong here"},
	{"`a-b` + 1", 1, 1, "'`a-b`' does not belong here"},
	{"a.``", 1, 4, "a name in backticks ends here"},
	{"a.`b$c`", 1, 5, "a name in backticks ends here"},
	{"a.`b", 1, 5, "a name in backticks ends here"},
	{"a.`b`(1)", 1, 6, "'(' does not belong here"},
	{"@a", 1, 1, "there is no operator '@'"},
	{"#a", 1, 1, "there is no operator '#'"},
	{"a $ b", 1, 3, "there is no operator '$'"},
	{"a ; b", 1, 3, "there is no operator ';'"},
	{"a \\ b", 1, 3, "there is no operator '\\'"},
	{"a ~ b", 1, 3, "there is no operator '~'"},
	{"a ^ b", 1, 3, "there is no operator '^'"},
	{"x == 'a", 1, 6, "this text has no end"},
	{"for", 1, 1, "'for' is a reserved word"},
	{"if(a)", 1, 1, "'if' is a reserved word"},
	{"while + 1", 1, 1, "'while' is a reserved word"},
	{"let x = 1", 1, 1, "'let' is a reserved word"},
	{"package.a", 1, 1, "'package' is a reserved word"},
	{"as == 1", 1, 1, "'as' is a reserved word"},
	{"break", 1, 1, "'break' is a reserved word"},
	{"const", 1, 1, "'const' is a reserved word"},
	{"continue", 1, 1, "'continue' is a reserved word"},
	{"else", 1, 1, "'else' is a reserved word"},
	{"function", 1, 1, "'function' is a reserved word"},
	{"import", 1, 1, "'import' is a reserved word"},
	{"loop", 1, 1, "'loop' is a reserved word"},
	{"namespace", 1, 1, "'namespace' is a reserved word"},
	{"return", 1, 1, "'return' is a reserved word"},
	{"var", 1, 1, "'var' is a reserved word"},
	{"void", 1, 1, "'void' is a reserved word"},
	{"in", 1, 1, "'in' does not belong here"},
	{"in == 1", 1, 1, "'in' does not belong here"},
	{"a.in", 1, 3, "'in' does not belong here"},
	{"a.true", 1, 3, "'true' does not belong here"},
	{"true.false.null", 1, 6, "'false' does not belong here"},
	{"null()", 1, 5, "'(' does not belong here"},
	{"has(a)", 1, 5, "has() asks for a field: has(x.field)"},
	{"has(1)", 1, 5, "has() asks for a field: has(x.field)"},
	{"has(a[0])", 1, 6, "has() asks for a field: has(x.field)"},
	{"has(\"a\")", 1, 5, "has() asks for a field: has(x.field)"},
	{"has(a.b.c())", 1, 9, "has() asks for a field: has(x.field)"},
	{"[1].all(1, true)", 1, 9, "the variable of a macro must be a plain name"},
	{"[1].all(x.y, true)", 1, 11, "the variable of a macro must be a plain name"},
	{"[1].exists(\"x\", true)", 1, 12, "the variable of a macro must be a plain name"},
	{"[1].map(a.b, 1)", 1, 11, "the variable of a macro must be a plain name"},
	{"[1].filter(x + 1, true)", 1, 14, "the variable of a macro must be a plain name"},
	{"[1].exists_one(f(x), true)", 1, 16, "the variable of a macro must be a plain name"},
	{"[1].all(x, x, true)", 1, 12, "both variables of this macro are called 'x'"},
	{"{1: 2}.transformMap(k, k, true)", 1, 24, "both variables of this macro are called 'k'"},
	{"[1].transformList(1, v, v)", 1, 19, "the variable of a macro must be a plain name"},
	{"cel.bind(1, 2, 3)", 1, 10, "the variable of a macro must be a plain name"},
	{"cel.bind(x.y, 2, 3)", 1, 12, "the variable of a macro must be a plain name"},
	{"cel.block(1, 2)", 1, 11, "cel.block takes a list, written here"},
	{"cel.block([1], cel.index(x))", 1, 26, "this must be a small number"},
	{"optional.of(1).optMap(1, 2)", 1, 23, "the variable of a macro must be a plain name"},
	{"[1].sortBy(1, 2)", 1, 12, "the variable of a macro must be a plain name"},
	{".x.y(", 1, 6, "the expression ends too early"},
	{"T{a: 1", 1, 7, "the expression ends too early"},
	{"T{1: 2}", 1, 3, "'1' does not belong here"},
	{"T{a 1}", 1, 5, "'1' does not belong here"},
	{"T{\"a\": 1}", 1, 3, "'\"a\"' does not belong here"},
	{"a.?", 1, 4, "the expression ends too early"},
	{"a[?", 1, 4, "the expression ends too early"},
	{"[?]", 1, 3, "']' does not belong here"},
	{"{?}", 1, 3, "'}' does not belong here"},
	{"{?\"a\"}", 1, 6, "'}' does not belong here"},
	{"a?.b", 1, 5, "the expression ends too early"},
	{"a.?b(1)", 1, 5, "'(' does not belong here"},
	{"1 2", 1, 3, "'2' does not belong here"},
	{"\"a\" \"b\"", 1, 5, "'\"b\"' does not belong here"},
	{"true false", 1, 6, "'false' does not belong here"},
	{"a,b", 1, 2, "',' does not belong here"},
	{"(a,b)", 1, 3, "',' does not belong here"},
	{"()", 1, 2, "')' does not belong here"},
	{"[1](", 1, 4, "'(' does not belong here"},
	{"{}.", 1, 4, "the expression ends too early"},
	{"1 in", 1, 5, "the expression ends too early"},
	{"in [1]", 1, 1, "'in' does not belong here"},
	{"a in in b", 1, 6, "'in' does not belong here"},
	{"a not in b", 1, 3, "'not' does not belong here"},
	{"a instanceof b", 1, 3, "'instanceof' does not belong here"},
	{"a.b.c.", 1, 7, "the expression ends too early"},
	{"a[b[c]", 1, 7, "the expression ends too early"},
	{"((((a)))", 1, 9, "the expression ends too early"},
	{"a))", 1, 2, "')' does not belong here"},
	{"/* comment */ a", 1, 1, "'/' does not belong here"},
	{"// only a comment", 1, 18, "the expression ends too early"},
	{"\302\247", 1, 1, "this character can only stand in quotes"},
	{"a == \342\200\234x\342\200\235", 1, 6, "this character can only stand in quotes"},
	{"age > 18 && ", 1, 13, "the expression ends too early"},
	{"age > 18 and room == \"a\"", 1, 10, "'and' does not belong here"},
	{"room = \"a\"", 1, 6, "there is no operator '='"},
	{"1 + \"a\"", 1, 3, "'+' does not work for (int, string)"},
	{"1 + 1.0", 1, 3, "'+' does not work for (int, double)"},
	{"1 + 1u", 1, 3, "'+' does not work for (int, uint)"},
	{"1u + 1", 1, 4, "'+' does not work for (uint, int)"},
	{"\"a\" + 1", 1, 5, "'+' does not work for (string, int)"},
	{"\"a\" - \"b\"", 1, 5, "'-' does not work for (string, string)"},
	{"\"a\" * 2", 1, 5, "'*' does not work for (string, int)"},
	{"[1] + 1", 1, 5, "'+' does not work for (list, int)"},
	{"true + true", 1, 6, "'+' does not work for (bool, bool)"},
	{"null + 1", 1, 6, "'+' does not work for (null_type, int)"},
	{"{} + {}", 1, 4, "'+' does not work for (map, map)"},
	{"1.5 % 2.0", 1, 5, "'%' does not work for (double, double)"},
	{"-\"a\"", 1, 1, "'-' does not work for (string)"},
	{"-true", 1, 1, "'-' does not work for (bool)"},
	{"-1u", 1, 1, "'-' does not work for (uint)"},
	{"!1", 1, 2, "'!' needs a bool, this is of type int"},
	{"!\"a\"", 1, 2, "'!' needs a bool, this is of type string"},
	{"true && 1", 1, 9, "'&&' needs a bool, this is of type int"},
	{"1 || false", 1, 1, "'||' needs a bool, this is of type int"},
	{"\"a\" && true", 1, 1, "'&&' needs a bool, this is of type string"},
	{"1 ? 2 : 3", 1, 1, "the condition of '?' is not a bool"},
	{"\"a\" == 1", 1, 5, "'==' does not work for (string, int)"},
	{"1 == \"a\"", 1, 3, "'==' does not work for (int, string)"},
	{"true == 1", 1, 6, "'==' does not work for (bool, int)"},
	{"[1] == 1", 1, 5, "'==' does not work for (list, int)"},
	{"{} == []", 1, 4, "'==' does not work for (map, list)"},
	{"1 < \"a\"", 1, 3, "'<' does not work for (int, string)"},
	{"\"a\" < 1", 1, 5, "'<' does not work for (string, int)"},
	{"true < 1", 1, 6, "'<' does not work for (bool, int)"},
	{"null < null", 1, 6, "'<' does not work for (null_type, null_type)"},
	{"[1] < [2]", 1, 5, "'<' does not work for (list, list)"},
	{"{} < {}", 1, 4, "'<' does not work for (map, map)"},
	{"1 in 2", 1, 3, "'in' does not work for (int, int)"},
	{"1 in \"abc\"", 1, 3, "'in' does not work for (int, string)"},
	{"\"a\" in \"abc\"", 1, 5, "'in' does not work for (string, string)"},
	{"\"a\" in [1, 2]", 1, 5, "'in' does not work for (string, list)"},
	{"\"a\" in [1, 2.5, true]", 1, 5, "'in' does not work for (string, list)"},
	{"1 in [\"a\"]", 1, 3, "'in' does not work for (int, list)"},
	{"1 in {\"a\": 1}", 1, 3, "'in' does not work for (int, map)"},
	{"1 in [1].map(x, \"a\")", 1, 3, "'in' does not work for (int, list)"},
	{"a ||\n _id in [1]", 2, 6, "'in' does not work for (string, list)"},
	{"(1).a", 1, 5, "a value of type int has no fields"},
	{"\"a\".b", 1, 5, "a value of type string has no fields"},
	{"true.a", 1, 6, "a value of type bool has no fields"},
	{"has((1).a)", 1, 9, "a value of type int has no fields"},
	{"1[0]", 1, 2, "only lists and maps have items"},
	{"\"abc\"[0]", 1, 6, "only lists and maps have items"},
	{"[1][\"a\"]", 1, 5, "an index of a list must be a number"},
	{"[1][true]", 1, 5, "an index of a list must be a number"},
	{"{1.5: 2}", 1, 2, "a key must be a string, an int, a uint or a bool"},
	{"{null: 1}", 1, 2, "a key must be a string, an int, a uint or a bool"},
	{"{[1]: 2}", 1, 2, "a key must be a string, an int, a uint or a bool"},
	{"size(1)", 1, 1, "found no matching overload for 'size' applied to ("},
	{"size(true)", 1, 1, "found no matching overload for 'size' applied to ("},
	{"size()", 1, 1, "found no matching overload for 'size' applied to ("},
	{"size(1, 2)", 1, 1, "found no matching overload for 'size' applied to ("},
	{"\"a\".size(1)", 1, 5, "found no matching overload for 'size' applied to ("},
	{"nosuch(1)", 1, 1, "there is no function 'nosuch'"},
	{"x.nosuch()", 1, 3, "there is no method 'nosuch'"},
	{"contains(\"a\", \"b\")", 1, 1, "there is no function 'contains'"},
	{"\"a\".contains(1)", 1, 5, "found no matching overload for 'contains' applied "},
	{"\"a\".startsWith()", 1, 5, "found no matching overload for 'startsWith' applie"},
	{"startsWith(\"a\", \"b\")", 1, 1, "there is no function 'startsWith'"},
	{"\"a\".StartsWith(\"b\")", 1, 5, "there is no method 'StartsWith'"},
	{"\"a\".tolower()", 1, 5, "there is no method 'tolower'"},
	{"int([1])", 1, 1, "found no matching overload for 'int' applied to (l"},
	{"int()", 1, 1, "found no matching overload for 'int' applied to ()"},
	{"timestamp(true)", 1, 1, "found no matching overload for 'timestamp' applied"},
	{"duration(1)", 1, 1, "found no matching overload for 'duration' applied "},
	{"string([1])", 1, 1, "found no matching overload for 'string' applied to"},
	{"bool(1.5)", 1, 1, "found no matching overload for 'bool' applied to ("},
	{"math.greatest()", 1, 6, "found no matching overload for 'math.greatest' app"},
	{"math.greatest(\"a\")", 1, 6, "found no matching overload for 'math.greatest' app"},
	{"math.abs(\"a\")", 1, 6, "found no matching overload for 'math.abs' applied "},
	{"math.nosuch(1)", 1, 6, "there is no method 'nosuch'"},
	{"lists.range(\"a\")", 1, 7, "found no matching overload for 'lists.range' appli"},
	{"\"a\".matches(1)", 1, 5, "found no matching overload for 'matches' applied t"},
	{"base64.encode(\"a\")", 1, 8, "found no matching overload for 'base64.encode' app"},
	{"[1].join()", 1, 5, "found no matching overload for 'join' applied to ("},
	{"[\"a\"].join(1)", 1, 7, "found no matching overload for 'join' applied to ("},
	{"\"a\".format(1)", 1, 5, "found no matching overload for 'format' applied to"},
	{"\"a\".charAt(\"b\")", 1, 5, "found no matching overload for 'charAt' applied to"},
	{"event", 1, 1, "there is no variable 'event'"},
	{"cel.index(0)", 1, 5, "this speaks of a cel.block or a macro"},
	{"cel.block([1], cel.index(1)) == 1", 1, 20, "this speaks of a cel.block"},
	{"event.foo", 1, 1, "there is no variable 'event'"},
	{"event.operation == 1", 1, 17, "'==' does not work for (string, int)"},
	{"event.timestamp > \"2026\"", 1, 17, "'>' does not work for (google.protobuf.Timestamp, "},
	{"event.id.size() == \"a\"", 1, 17, "'==' does not work for (int, string)"},
	{"_id == 5", 1, 5, "'==' does not work for (string, int)"},
	{"_id > 5", 1, 5, "'>' does not work for (string, int)"},
	{"_id.x", 1, 5, "a value of type string has no fields"},
	{"1.all(x, true)", 1, 3, "this macro needs a list or a map"},
	{"\"abc\".exists(x, true)", 1, 7, "this macro needs a list or a map"},
	{"[1].all(x, 1)", 1, 12, "the condition of this macro is not a bool"},
	{"[1].filter(x, \"a\")", 1, 15, "the condition of this macro is not a bool"},
	{"[1].map(x, 1, 2)", 1, 12, "the condition of this macro is not a bool"},
	{"T{a: 1}", 1, 1, "there are no messages here"},
	{"doc.x && 5", 1, 10, "'&&' needs a bool, this is of type int"},
	{"doc.a.all(x, x + \"a\" > 1)", 1, 22, "'>' does not work for (string, int)"},
	{"size(doc.x) == \"3\"", 1, 13, "'==' does not work for (int, string)"},
	{"doc.x in 5", 1, 7, "'in' does not work for (dyn, int)"},
	{"type(doc.x) == 5", 1, 13, "'==' does not work for (type, int)"},
	{"optional.of(1) == 1", 1, 16, "'==' does not work for (optional_type, int)"},
	{"optional.none().x.y == 2 && 1", 1, 21, "'==' does not work for (optional_type, int)"},
	{"cel.bind(x, 1, x + \"a\") == 2", 1, 18, "'+' does not work for (int, string)"},
	{"timestamp(\"2026-01-01T00:00:00Z\") + 1", 1, 35,
		"'+' does not work for (google.protobuf.Timestamp, "},
	{"timestamp(\"2026-01-01T00:00:00Z\") < duration(\"1s\")", 1, 35,
		"'<' does not work for (google.protobuf.Timestamp, "},
	{"duration(\"1s\") * 2", 1, 16, "'*' does not work for (google.protobuf.Duration, i"},
	{"ip(\"1.2.3.4\") < ip(\"1.2.3.5\")", 1, 15, "'<' does not work for (net.IP, net.IP)"},
	{"a &&\012  b c", 2, 5, "'c' does not"},
	{"\012\012\012  )", 4, 3, "')' does not"},
	{"\303\251", 1, 1, "this character"},
	{"'\303\251\303\274\360\237\230\200' == 1 x", 1, 12, "'x' does not"},
	{"// one\012// two\012a b", 3, 3, "'b' does not"},
	{"\"\"\"a\012b\"\"\" c", 2, 6, "'c' does not"},
	{"a\015\012+", 2, 2, "the expression ends"},
};

static enum err try(const char *source, struct cel_problem *problem)
{
	const struct cel_variable variables[] = {
		{bytes_of("doc"), CEL_MAP},
		{bytes_of("_id"), CEL_STRING},
		{bytes_of("event.id"), CEL_STRING},
		{bytes_of("event.operation"), CEL_STRING},
		{bytes_of("event.timestamp"), CEL_TIMESTAMP},
	};
	const struct cel_scope scope = {.variables = variables,
		.variables_count = sizeof(variables) / sizeof(variables[0]),
		.has_document = true};
	struct arena arena = {0};
	struct cel_expression *expression = NULL;
	enum err err = cel_parse(&arena, bytes_of(source), &limits, problem, &expression);
	if (err == OK) {
		err = cel_check(&arena, expression, &scope, &limits, problem);
	}
	arena_fini(&arena);
	return err;
}

static void test_refused(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cel_problem problem = {0};
		enum err err = try(cases[i].source, &problem);
		if (err != ERR_INVALID || problem.line != cases[i].line ||
			problem.column != cases[i].column ||
			strncmp(problem.text, cases[i].text, strlen(cases[i].text)) != 0) {
			print_error("%s\n  got    %u:%u %s\n  wanted %u:%u %s\n", cases[i].source,
				(unsigned)problem.line, (unsigned)problem.column, problem.text,
				(unsigned)cases[i].line, (unsigned)cases[i].column, cases[i].text);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
	assert_true(sizeof(cases) / sizeof(cases[0]) >= 150);
}

/* What one may have meant. */
static void test_hints(void **state)
{
	(void)state;
	static const struct {
		const char *source;
		uint32_t line, column;
		const char *hint; /* a part of it */
	} rows[] = {
		{"not a", 1, 1, "write !x"},
		{"a && NOT b", 1, 6, "write !x"},
		{"not !a", 1, 1, "write !x"},
		{"not (a)", 1, 1, "write !x"},
		{"a &&\nnot(b)", 2, 1, "write !x"},
		{"a not in b", 1, 3, "write !(x in list)"},
		{"a and b", 1, 3, "write &&"},
		{"a AND b", 1, 3, "write &&"},
		{"(a) or (b)", 1, 5, "write ||"},
		{"a OR b", 1, 3, "write ||"},
		{"a & b", 1, 3, "write &&"},
		{"a | b", 1, 3, "write ||"},
		{"a is b", 1, 3, "write =="},
		{"a = 1", 1, 3, "written =="},
		{"a === 1", 1, 3, "written =="},
		{"a == = 1", 1, 6, "written =="},
		{"a !== 1", 1, 3, "written !="},
		{"a <> 1", 1, 3, "written !="},
		{"a =< 1", 1, 3, "written <="},
		{"a => 1", 1, 3, "written >="},
		{"a > 1.", 1, 7, "write 1.0"},
		{"a > -12. && b", 1, 10, "write -12.0"},
		{"a > 1.e3", 1, 7, "written 1.0"},
		{"a == \342\200\234x\342\200\235", 1, 6, "straight quotes"},
		{"a == \342\200\230x\342\200\231", 1, 6, "straight quotes"},
		{"_id in [1, 2]", 1, 5, "convert"},
		{"\"a\" in \"abc\"", 1, 5, "contains"},
		{"a in 1", 1, 3, "a list or a map"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cel_problem problem = {0};
		enum err err = try(rows[i].source, &problem);
		if (err != ERR_INVALID || problem.line != rows[i].line ||
			problem.column != rows[i].column || !strstr(problem.hint, rows[i].hint)) {
			fail_msg("%s: %u:%u %s; %s", rows[i].source, (unsigned)problem.line,
				(unsigned)problem.column, problem.text, problem.hint);
		}
	}
}

/* The same with a little mended: a test of refusals proves nothing if everything is refused. */
static void test_accepted(void **state)
{
	static const char *const sources[] = {"1 + 2 > 2", "a.b[0] == \"x\"", "f == 1", "(a)",
		"[1, 2,] == a", "{\"a\": 1,} == a", "a ? b : c ? d : e", "!!a", "- -a > 0 || true",
		"has(a.b.c)", "[1].all(x, x > 0)", "{1: 2}.transformMap(k, v, v).size() == 1",
		"cel.bind(x, 1, x + 1) == 2", "cel.block([1], cel.index(0)) == 1",
		"a.?b.orValue(true)", "a[?0].hasValue()", "[?a.?b] == []", "doc[\"in\"] == 1",
		"a.`b-c` == 1", "event.operation == \"DELETE\"", "_id.startsWith(\"u\")",
		"type(a) == int", "a // ok", "1.0 + 1.5 > 2.0", "\"a\" + \"b\" == \"ab\"",
		"not == 1 && NOT && doc.not", "\"a\" in [1, \"a\"]", "1u in [2.0]", "a in [1]",
		"\"a\" in [?a.?b, 1]", "null in [1]", "\"a\" in []", "_id in [a, 1]",
		"1 in {2u: 1}", "a ==!b", "a<-1"};
	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct cel_problem problem = {0};
		if (try(sources[i], &problem) != OK) {
			fail_msg("%s: %u:%u %s", sources[i], (unsigned)problem.line,
				(unsigned)problem.column, problem.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
