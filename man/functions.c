/*
 * cel-manual IN OUT: copies a manual page and puts the list of functions, by library, in the place
 * of the line that says FUNCTIONS.
 */
#include "cel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* mdoc takes a point or an apostrophe at the beginning of a line as its own. */
static void put_text(FILE *to, const char *text)
{
	(void)fputs("\\&", to);
	for (; *text; text++) {
		(void)fputs(*text == '\\' ? "\\e" : (char[]){*text, '\0'}, to);
	}
	(void)fputc('\n', to);
}

static void put_library(FILE *to, const char *library)
{
	struct cel_signature signature;
	(void)fprintf(to, ".Ss Library %s\n.Bl -tag -width 4n\n", library);
	for (size_t i = 0; cel_signature_at(i, &signature); i++) {
		if (strcmp(signature.library, library) == 0) {
			(void)fputs(".It ", to);
			put_text(to, signature.text);
			put_text(to, signature.help);
		}
	}
	(void)fputs(".El\n", to);
}

/* Libraries in the order of the first function of each. */
static void put_functions(FILE *to)
{
	struct cel_signature signature;
	struct cel_signature before;
	for (size_t i = 0; cel_signature_at(i, &signature); i++) {
		size_t k = 0;
		while (k < i && cel_signature_at(k, &before) &&
			strcmp(before.library, signature.library) != 0) {
			k++;
		}
		if (k == i) {
			put_library(to, signature.library);
		}
	}
}

int main(int count, char **arguments)
{
	if (count != 3) {
		(void)fputs("usage: cel-manual IN OUT\n", stderr);
		return 2;
	}
	FILE *from = fopen(arguments[1], "r");
	FILE *to = fopen(arguments[2], "w");
	if (!from || !to) {
		perror(arguments[from ? 2 : 1]);
		return 1;
	}
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, from) > 0) {
		if (strcmp(line, "FUNCTIONS\n") == 0) {
			put_functions(to);
		} else {
			(void)fputs(line, to);
		}
	}
	free(line);
	(void)fclose(from);
	if (fclose(to) != 0) {
		perror(arguments[2]);
		return 1;
	}
	return 0;
}
