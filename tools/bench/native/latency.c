/* latency PORT PRODUCE_FRAME FETCH_FRAME OFFSET_POSITION COUNT PAUSE_US
 *
 * Microseconds from sending one record until it is acknowledged, and until a consumer that already waits for it has it. One
 * connection produces, another keeps one long fetch outstanding; between two records there is a pause, so nothing queues up.
 * OFFSET_POSITION is where the fetch frame carries its offset, which starts at 0. Prints one line of JSON. */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 1 << 16, EMPTY_FETCH_MAX = 100 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  return fd;
}

static size_t load_frame(const char *path, char *frame) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  size_t size = fread(frame, 1, FRAME_MAX, file);
  fclose(file);
  return size;
}

static void send_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t sent = write(fd, data, size);
    if (sent <= 0) fail("write");
    data += sent;
    size -= sent;
  }
}

/* Reads one whole response; returns its size without the length prefix. */
static size_t receive(int fd, char *frame) {
  size_t have = 0, want = 4;
  while (have < want) {
    ssize_t got = read(fd, frame + have, want - have);
    if (got <= 0) fail("read");
    have += got;
    if (have == 4) {
      want = 4 + ntohl(*(uint32_t *)frame);
      if (want > FRAME_MAX) fail("response too large");
    }
  }
  return want - 4;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print_summary(const char *name, double *values, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += values[i];
  qsort(values, count, sizeof *values, by_value);
  printf("\"%s\":{\"avg\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, sum / count, values[count / 2], values[count * 99 / 100], values[count - 1]);
}

int main(int argc, char **argv) {
  if (argc != 7) return fputs("usage: latency PORT PRODUCE_FRAME FETCH_FRAME OFFSET_POSITION COUNT PAUSE_US\n", stderr), 2;
  static char produce[FRAME_MAX], fetch[FRAME_MAX], answer[FRAME_MAX];
  size_t produce_size = load_frame(argv[2], produce), fetch_size = load_frame(argv[3], fetch);
  size_t position = strtoul(argv[4], NULL, 10);
  int count = atoi(argv[5]), pause_us = atoi(argv[6]);
  int producer = connect_to(atoi(argv[1])), consumer = connect_to(atoi(argv[1]));
  double *acknowledged = malloc(count * sizeof(double)), *consumed = malloc(count * sizeof(double));
  if (!acknowledged || !consumed || position + 8 > fetch_size) return 2;
  for (int i = 0; i < count; i++) {
    uint64_t offset = htobe64(i);
    memcpy(fetch + position, &offset, 8);
    send_all(consumer, fetch, fetch_size);
    usleep(pause_us);
    double start = now_us();
    send_all(producer, produce, produce_size);
    struct pollfd sockets[2] = {{.fd = producer, .events = POLLIN}, {.fd = consumer, .events = POLLIN}};
    int left = 2;
    while (left > 0) {
      if (poll(sockets, 2, 10000) <= 0) fail("no answer within 10 s");
      for (int s = 0; s < 2; s++) {
        if (!(sockets[s].revents & POLLIN)) continue;
        size_t size = receive(sockets[s].fd, answer);
        if (s == 1 && size < EMPTY_FETCH_MAX) { /* the long fetch ran out before the record came */
          send_all(consumer, fetch, fetch_size);
          continue;
        }
        (s == 0 ? acknowledged : consumed)[i] = now_us() - start;
        sockets[s].fd = -1;
        left--;
      }
    }
  }
  printf("{\"count\":%d,", count);
  print_summary("acknowledged", acknowledged, count);
  printf(",");
  print_summary("consumed", consumed, count);
  puts("}");
  return 0;
}
