// A guestbook page by page: GET shows the page (a template that lies beside the program), POST takes a form, an event reports.
// Each call has a fresh instance, so what stays lies in /tmp of the sandbox: until the instance goes.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BOOK "/tmp/guestbook.txt"
#define FORM_MAX 4096

static const char *env(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? "" : value;
}

static void put_escaped(const char *text) {
  for (; *text != 0; text++) {
    if (*text == '<') fputs("&lt;", stdout);
    else if (*text == '&') fputs("&amp;", stdout);
    else if (*text == '"') fputs("&quot;", stdout);
    else putchar(*text);
  }
}

// application/x-www-form-urlencoded, in place.
static void decode(char *text) {
  char *to = text;
  for (; *text != 0; text++) {
    if (*text == '+') *to++ = ' ';
    else if (*text == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
      char hex[3] = {text[1], text[2], 0};
      *to++ = (char)strtol(hex, NULL, 16);
      text += 2;
    } else *to++ = *text;
  }
  *to = 0;
}

static char *field(char *form, const char *name) {
  size_t length = strlen(name);
  for (char *part = strtok(form, "&"); part != NULL; part = strtok(NULL, "&")) {
    if (strncmp(part, name, length) != 0 || part[length] != '=') continue;
    decode(part + length + 1);
    return part + length + 1;
  }
  return NULL;
}

static int entries(void (*show)(const char *)) {
  char line[FORM_MAX];
  int count = 0;
  FILE *book = fopen(BOOK, "r");
  if (book == NULL) return 0;
  while (fgets(line, sizeof line, book) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (show != NULL) show(line);
    count++;
  }
  fclose(book);
  return count;
}

static void show_entry(const char *line) {
  fputs("<li>", stdout);
  put_escaped(line);
  fputs("\n", stdout);
}

static void refuse(const char *status, const char *why) { printf("Status: %s\nContent-Type: text/plain\n\n%s\n", status, why); }

static void show_page(void) {
  char line[1024];
  FILE *page = fopen("/pages/guestbook.html", "r");
  if (page == NULL) exit(1);
  printf("Content-Type: text/html;charset=utf-8\nX-Entries: %d\n\n", entries(NULL));
  while (fgets(line, sizeof line, page) != NULL) {
    if (strstr(line, "{{entries}}") != NULL) entries(show_entry);
    else if (strstr(line, "{{title}}") != NULL) printf("<h1>"), put_escaped(env("TITLE")), printf("</h1>\n");
    else fputs(line, stdout);
  }
  fclose(page);
}

static void sign(void) {
  char form[FORM_MAX + 1];
  size_t length = fread(form, 1, FORM_MAX, stdin);
  if (!feof(stdin) && fgetc(stdin) != EOF) return refuse("413 Content Too Large", "at most 4096 bytes");
  form[length] = 0;
  char *text = field(form, "text");
  if (text == NULL || *text == 0) return refuse("422 Unprocessable Content", "write something into the field text");
  for (char *at = text; *at != 0; at++)
    if (*at == '\n' || *at == '\r') *at = ' ';
  FILE *book = fopen(BOOK, "a");
  if (book == NULL || fprintf(book, "%s\n", text) < 0 || fclose(book) != 0) exit(1);
  fprintf(stderr, "signed: %s\n", text);
  printf("Location: %s\nStatus: 303 See Other\n\n", env("SCRIPT_NAME"));
}

int main(void) {
  if (*env("CE_TYPE") != 0) {
    fprintf(stderr, "%s of %s\n", env("CE_TYPE"), env("CE_SOURCE"));
    printf("{\"entries\":%d,\"at\":%lld}\n", entries(NULL), (long long)time(NULL));
  } else if (strcmp(env("REQUEST_METHOD"), "POST") == 0) sign();
  else show_page();
  return 0;
}
