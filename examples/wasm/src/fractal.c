// The Mandelbrot set as a PNG that streams, row by row: GET /fractal?x=-0.5&y=0&zoom=1&size=256. No library: the image data is
// stored, not compressed, which PNG allows.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 200
#define SIZE_MAX_PX 2048

static uint32_t crcs[256];

static void make_crcs(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    crcs[n] = c;
  }
}

static void put32(uint8_t *at, uint32_t value) {
  at[0] = value >> 24, at[1] = value >> 16, at[2] = value >> 8, at[3] = value;
}

static void chunk(const char *type, const uint8_t *bytes, uint32_t length) {
  uint8_t word[4];
  uint32_t crc = 0xffffffffu;
  for (int i = 0; i < 4; i++) crc = crcs[(crc ^ (uint8_t)type[i]) & 255] ^ (crc >> 8);
  for (uint32_t i = 0; i < length; i++) crc = crcs[(crc ^ bytes[i]) & 255] ^ (crc >> 8);
  put32(word, length);
  fwrite(word, 1, 4, stdout);
  fwrite(type, 1, 4, stdout);
  fwrite(bytes, 1, length, stdout);
  put32(word, ~crc);
  fwrite(word, 1, 4, stdout);
}

static double number(int argc, char **argv, const char *name, double missing) {
  size_t length = strlen(name);
  for (int i = 1; i < argc; i++)
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return atof(argv[i] + length + 1);
  return missing;
}

static int steps(double cx, double cy) {
  double x = 0, y = 0;
  int n = 0;
  while (n < STEPS_MAX && x * x + y * y < 4) {
    double next = x * x - y * y + cx;
    y = 2 * x * y + cy;
    x = next;
    n++;
  }
  return n;
}

int main(int argc, char **argv) {
  double x = number(argc, argv, "x", -0.5), y = number(argc, argv, "y", 0), zoom = number(argc, argv, "zoom", 1);
  int size = (int)number(argc, argv, "size", 256);
  if (size < 1 || size > SIZE_MAX_PX || !(zoom > 0)) {
    printf("Status: 400 Bad Request\nContent-Type: text/plain\n\nsize is from 1 to %d, zoom is above 0\n", SIZE_MAX_PX);
    return 0;
  }
  make_crcs();
  printf("Content-Type: image/png\n\n");
  fwrite("\x89PNG\r\n\x1a\n", 1, 8, stdout);
  uint8_t head[13] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0};
  put32(head, size), put32(head + 4, size);
  chunk("IHDR", head, sizeof head);
  // zlib: each row is a stored block of its own, with the checksum at the end.
  uint32_t a = 1, b = 0, length = (uint32_t)size + 1;
  uint8_t *row = malloc(length + 11);
  for (int j = 0; j < size; j++) {
    uint8_t *at = row;
    if (j == 0) *at++ = 0x78, *at++ = 0x01;
    *at++ = j == size - 1, *at++ = length, *at++ = length >> 8, *at++ = ~length, *at++ = ~length >> 8;
    for (uint32_t i = 0; i < length; i++) {
      uint8_t shade = i == 0 ? 0 : 255 - steps(x + ((int)i - 1 - size / 2) * 3.0 / size / zoom, y + (j - size / 2) * 3.0 / size / zoom) * 255 / STEPS_MAX;
      *at++ = shade;
      a = (a + shade) % 65521, b = (b + a) % 65521;
    }
    if (j == size - 1) put32(at, b << 16 | a), at += 4;
    chunk("IDAT", row, (uint32_t)(at - row));
  }
  chunk("IEND", head, 0);
  return 0;
}
