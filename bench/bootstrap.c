// A compiled bootstrap for the bench `forms`: what the HTTP client of a runtime in Rust, Go or C++ does for AWS Lambda's Runtime
// API 2018-06-01, and nothing beside: one kept connection, one write for each request, answers read by their Content-Length.
// It answers `hello` and does not look into the event, as a handler that needs none of it. Built by compiled-bootstrap.ts.
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define API "/2018-06-01/runtime/invocation/"
#define BODY "{\"statusCode\":200,\"headers\":{\"content-type\":\"text/plain\"},\"body\":\"hello\"}"
#define ID "Lambda-Runtime-Aws-Request-Id:"

/** Of the whole event; the bench sends none that is larger. */
static char bytes[1 << 20];
static int api;

static void ask(const char *request, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t count = write(api, request + sent, length - sent);
    if (count < 0) err(1, "write");
    sent += (size_t)count;
  }
}

/** Value of a header of the answer in `bytes`, or NULL. */
static const char *header(const char *name) {
  for (const char *line = strstr(bytes, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, strlen(name)) == 0) return line + strlen(name) + strspn(line + strlen(name), " ");
  }
  return NULL;
}

/** Reads one answer with its body into `bytes`. */
static void answer(int status) {
  size_t length = 0, wanted = 0;
  while (wanted == 0 || length < wanted) {
    ssize_t count = read(api, bytes + length, sizeof bytes - 1 - length);
    if (count < 0) err(1, "read");
    if (count == 0) errx(1, "the connection has ended, or the answer is too long");
    length += (size_t)count;
    bytes[length] = 0;
    const char *end = wanted == 0 ? strstr(bytes, "\r\n\r\n") : NULL;
    if (end == NULL) continue;
    const char *body = header("Content-Length:");
    wanted = (size_t)(end - bytes) + 4 + (body == NULL ? 0 : strtoul(body, NULL, 10));
  }
  if (atoi(bytes + strlen("HTTP/1.1 ")) != status) errx(1, "the API answers %.200s", bytes);
}

int main(void) {
  const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
  char host[64];
  unsigned port;
  if (address == NULL || sscanf(address, "%63[^:]:%u", host, &port) != 2) errx(1, "AWS_LAMBDA_RUNTIME_API is missing");
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  api = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(api, (struct sockaddr *)&to, sizeof to) != 0) err(1, "connect to %s", address);
  int on = 1;
  setsockopt(api, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  char next[256], request[512];
  int next_length = snprintf(next, sizeof next, "GET " API "next HTTP/1.1\r\nHost: %s\r\n\r\n", address);
  for (;;) {
    ask(next, (size_t)next_length);
    answer(200);
    const char *id = header(ID);
    if (id == NULL) errx(1, "an invocation without an id");
    int length = snprintf(request, sizeof request,
                          "POST " API "%.36s/response HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n" BODY,
                          id, address, strlen(BODY));
    ask(request, (size_t)length);
    answer(202);
  }
}
