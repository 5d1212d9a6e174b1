// What the tests of this folder run: each path of the request exercises one thing that WASI gives a program.
// Built by build.sh with Debian's clang, lld and wasi-libc; the result is kept in the repository.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int calls = 0;

static const char *env(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? "" : value;
}

static void head(void) { printf("Content-Type: text/plain\n\n"); }

static void show(const char *what, int failed) { printf("%s: %s\n", what, failed ? strerror(errno) : "ok"); }

static long long now_ms(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return at.tv_sec * 1000LL + at.tv_nsec / 1000000;
}

static void echo(void) {
  char buffer[4096];
  ssize_t count;
  printf("Content-Type: %s\n\n", *env("CONTENT_TYPE") ? env("CONTENT_TYPE") : "application/octet-stream");
  fflush(stdout);
  while ((count = read(0, buffer, sizeof buffer)) > 0) write(1, buffer, count);
}

static void files(void) {
  char line[64];
  struct stat about;
  head();
  FILE *own = fopen("/greeting.txt", "r");
  printf("own: %s", own != NULL && fgets(line, sizeof line, own) ? line : "none\n");
  if (own != NULL) fclose(own);
  printf("size: %d\n", stat("greeting.txt", &about) == 0 ? (int)about.st_size : -1);
  show("write own", fopen("/greeting.txt", "w") == NULL);
  show("create own", fopen("/new.txt", "w") == NULL);
  show("remove own", unlink("/greeting.txt") != 0);
  show("out", fopen("/../../../../etc/passwd", "r") == NULL);
  show("link out", fopen("/tmp/out", "r") == NULL);
  show("missing", fopen("/nothing", "r") == NULL);
  FILE *scratch = fopen("/tmp/scratch", "w+");
  show("scratch", scratch == NULL || fputs("0123456789", scratch) < 0 || fseek(scratch, 4, SEEK_SET) != 0);
  printf("read back: %s\n", fgets(line, 4, scratch) ? line : "none");
  fclose(scratch);
  scratch = fopen("/tmp/scratch", "a");
  fputs("+", scratch);
  fclose(scratch);
  printf("appended: %d\n", stat("/tmp/scratch", &about) == 0 ? (int)about.st_size : -1);
  show("rename", rename("/tmp/scratch", "/tmp/renamed") != 0);
  show("mkdir", mkdir("/tmp/folder", 0777) != 0);
  show("rmdir", rmdir("/tmp/folder") != 0);
  show("symlink", symlink("renamed", "/tmp/link") != 0);
  show("through link", access("/tmp/link", R_OK) != 0);
  show("unlink", unlink("/tmp/renamed") != 0 || unlink("/tmp/link") != 0);
  int opened = 0;
  while (opened < 1000 && open("/greeting.txt", O_RDONLY) >= 0) opened++;
  show(opened < 1000 ? "too many" : "no bound", 1);
}

static void list(void) {
  head();
  DIR *folder = opendir("/many");
  int count = 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) count += entry->d_name[0] == 'f' && entry->d_type == DT_REG;
  closedir(folder);
  printf("%d files\n", count);
}

static void clocks(void) {
  head();
  long long wall = now_ms(CLOCK_REALTIME), before = now_ms(CLOCK_MONOTONIC);
  struct timespec nap = {0, 30 * 1000000};
  nanosleep(&nap, NULL);
  printf("%lld %d\n", wall, now_ms(CLOCK_MONOTONIC) - before >= 29);
  unsigned char random[32];
  int sum = 0;
  getentropy(random, sizeof random);
  for (int i = 0; i < 32; i++) sum += random[i] != 0;
  printf("%d\n", sum > 20);
}

static void drip(void) {
  head();
  for (int i = 0; i < 3; i++) {
    printf("drop %d\n", i);
    fflush(stdout);
    usleep(20 * 1000);
  }
}

static void wait_input(void) {
  struct pollfd input = {0, POLLIN, 0};
  head();
  printf("early: %d\n", poll(&input, 1, 20));
  fflush(stdout);
  int ready = poll(&input, 1, 10000);
  char buffer[64];
  ssize_t count = read(0, buffer, sizeof buffer);
  printf("late: %d %.*s\n", ready, (int)count, buffer);
}

__attribute__((noinline)) static int deeper(int n) {
  volatile char room[4096];
  room[n % 4096] = n;
  return n < 0 ? 0 : deeper(n + 1) + room[n % 100];
}

int main(int argc, char **argv) {
  const char *path = env("PATH_INFO");
  fprintf(stderr, "call %d of %s\n", ++calls, path);
  if (*env("CE_TYPE") || *env("VIRGA_TRIGGER")) {
    char buffer[4096];
    size_t count = fread(buffer, 1, sizeof buffer - 1, stdin);
    buffer[count] = 0;
    if (strcmp(buffer, "\"nothing\"") == 0) return 0;
    if (strcmp(buffer, "\"plain\"") == 0) return puts("plain text"), 0;
    printf("{\"type\":\"%s\",\"subject\":\"%s\",\"contentType\":\"%s\",\"bytes\":\"%s\",\"data\":%s}", env("CE_TYPE"), env("CE_SUBJECT"), env("CONTENT_TYPE"), env("CONTENT_LENGTH"), buffer);
  } else if (strcmp(path, "/env") == 0) {
    head();
    for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
    for (char **one = environ; *one != NULL; one++) puts(*one);
  } else if (strcmp(path, "/echo") == 0) echo();
  else if (strcmp(path, "/files") == 0) files();
  else if (strcmp(path, "/list") == 0) list();
  else if (strcmp(path, "/clocks") == 0) clocks();
  else if (strcmp(path, "/drip") == 0) drip();
  else if (strcmp(path, "/wait") == 0) wait_input();
  else if (strcmp(path, "/calls") == 0) head(), printf("%d", calls);
  else if (strcmp(path, "/status") == 0) printf("Status: 404 Not Found\r\nContent-Type: text/plain\r\nX-Own: 1\r\nX-Own: 2\r\n\r\nnot here");
  else if (strcmp(path, "/location") == 0) printf("Location: https://example.com/\n\n");
  else if (strcmp(path, "/large") == 0) {
    printf("Content-Type: application/octet-stream\n\n");
    for (int i = 0; i < 2000000; i++) putchar('a' + i % 26);
  } else if (strcmp(path, "/no-head") == 0) printf("hello there\nall\n");
  else if (strcmp(path, "/silent") == 0) return 0;
  else if (strcmp(path, "/untyped") == 0) printf("X-Own: 1\n\nhello");
  else if (strcmp(path, "/bad-status") == 0) printf("Status: many\n\n");
  else if (strcmp(path, "/exit") == 0) head(), printf("half"), fflush(stdout), fprintf(stderr, "no such note"), exit(3);
  else if (strcmp(path, "/trap") == 0) head(), fflush(stdout), __builtin_trap();
  else if (strcmp(path, "/overflow") == 0) head(), printf("%d", deeper(1));
  else if (strcmp(path, "/grow") == 0) {
    head();
    volatile char *all = malloc(200 << 20);
    for (size_t at = 0; all != NULL && at < 200 << 20; at += 4096) all[at] = 1;
    printf("%d", all != NULL);
  } else if (strcmp(path, "/yield") == 0) {
    head();
    for (int i = 0; i < 100; i++) sched_yield();
    printf("done");
  } else if (strcmp(path, "/late-exit") == 0) head(), printf("half"), fflush(stdout), usleep(1000), exit(4);
  else if (strcmp(path, "/sleep-forever") == 0)
    for (;;) sleep(1000);
  else if (strcmp(path, "/loop") == 0)
    for (volatile unsigned long long i = 0;;) i++;
  else if (strcmp(path, "/write-forever") == 0) {
    head();
    for (;;) puts("more");
  } else printf("Status: 404\n\n");
  return 0;
}
