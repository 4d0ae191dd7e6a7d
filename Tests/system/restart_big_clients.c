/*
 * Many WebSockets that only listen, and know exactly what they have to hear: numbers, from 1 on, in order.
 *
 *     restart_big_clients COUNT PORT PATH
 *
 * They come from 50 addresses of the loopback interface. The first one sends each line of standard input as a message. Each
 * second a line of JSON says how many are open, how many were closed or broke, how often something wrong was heard, how many
 * pings were answered, and how many connections have heard how many numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 50, UNDER_WAY = 256, MOST_HEARD = 100, LONGEST = 125 };
enum phase { NONE, CONNECTING, ASKING, OPEN, CLOSED };

/* What has come of a frame, or of the response while ASKING, of which only the beginning is kept. */
struct client {
    int descriptor;
    uint8_t phase, heard, held, line_ends;
    uint8_t frame[2 + LONGEST];
};

static const char *path;
static int port, count, epoll, begun, opened, closed, wrong, pings;
static int heard[MOST_HEARD + 1];
static struct client *clients;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int operation, int index, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)index};
    if (epoll_ctl(epoll, operation, clients[index].descriptor, &event)) fail("epoll_ctl");
}

static void begin(int index) {
    struct client *client = &clients[index];
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + index % ADDRESSES)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int yes = 1;
    client->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->descriptor < 0) fail("socket");
    setsockopt(client->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(client->descriptor, (struct sockaddr *)&from, sizeof from)) fail("bind");
    if (connect(client->descriptor, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
    client->phase = CONNECTING;
    watch(EPOLL_CTL_ADD, index, EPOLLOUT);
}

static void end(struct client *client, const char *why) {
    if (closed++ < 10) fprintf(stderr, "client %d was closed: %s\n", (int)(client - clients), why);
    if (client->phase == OPEN) {
        opened--;
        heard[client->heard]--;
    }
    client->phase = CLOSED;
    close(client->descriptor);
}

static void send_all(struct client *client, const void *bytes, size_t size) {
    /* So little that there is always room for it. */
    if (send(client->descriptor, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) end(client, strerror(errno));
}

static void send_frame(struct client *client, int opcode, const uint8_t *payload, size_t size) {
    /* Masked with zeros. */
    uint8_t frame[6 + LONGEST] = {0x80 | opcode, 0x80 | size};
    memcpy(frame + 6, payload, size);
    send_all(client, frame, 6 + size);
}

static void ask(int index) {
    char request[512];
    int size = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port);
    clients[index].phase = ASKING;
    watch(EPOLL_CTL_MOD, index, EPOLLIN);
    send_all(&clients[index], request, size);
}

static void take_frame(struct client *client, int opcode, const uint8_t *payload, size_t size) {
    char text[LONGEST + 1] = "";
    memcpy(text, payload, size);
    if (opcode == 9) {
        pings++;
        send_frame(client, 10, payload, size);
    } else if (opcode == 8) {
        end(client, size > 2 ? text + 2 : "without a reason");
    } else if (opcode != 1 || atoi(text) != client->heard + 1 || client->heard == MOST_HEARD) {
        if (wrong++ < 10) fprintf(stderr, "client %d heard '%s' after %d\n", (int)(client - clients), text, client->heard);
    } else {
        heard[client->heard++]--;
        heard[client->heard]++;
    }
}

static void take(struct client *client, uint8_t byte) {
    if (client->phase == CLOSED) return;
    if (client->phase == ASKING) {
        if (client->held < 12) client->frame[client->held++] = byte;
        client->line_ends = byte == '\n' ? client->line_ends + 1 : byte == '\r' ? client->line_ends : 0;
        if (client->line_ends < 2) return;
        if (memcmp(client->frame, "HTTP/1.1 101", 12)) return end(client, "refused");
        client->phase = OPEN;
        client->held = 0;
        opened++;
        heard[0]++;
        return;
    }
    client->frame[client->held++] = byte;
    if (client->held < 2) return;
    if (client->frame[1] > LONGEST) return end(client, "a frame that is too long");
    if (client->held < 2 + client->frame[1]) return;
    client->held = 0;
    take_frame(client, client->frame[0] & 15, client->frame + 2, client->frame[1]);
}

static void turn(struct client *client, uint32_t events) {
    uint8_t bytes[4096];
    if (client->phase == CLOSED) return;
    if (client->phase == CONNECTING && !(events & (EPOLLERR | EPOLLHUP))) return ask((int)(client - clients));
    ssize_t size = recv(client->descriptor, bytes, sizeof bytes, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return end(client, size < 0 ? strerror(errno) : "the connection was ended");
    for (ssize_t place = 0; place < size; place++) take(client, bytes[place]);
}

static void say_line(void) {
    char line[LONGEST + 1];
    ssize_t size = read(0, line, LONGEST);
    if (size <= 0) exit(0);
    send_frame(&clients[0], 1, (uint8_t *)line, line[size - 1] == '\n' ? size - 1 : size);
}

static void report(void) {
    const char *comma = "";
    printf("{\"open\": %d, \"closed\": %d, \"wrong\": %d, \"pings\": %d, \"heard\": {", opened, closed, wrong, pings);
    for (int number = 0; number <= MOST_HEARD; number++) {
        if (!heard[number]) continue;
        printf("%s\"%d\": %d", comma, number, heard[number]);
        comma = ", ";
    }
    puts("}}");
    fflush(stdout);
}

int main(int argument_count, char **arguments) {
    struct epoll_event events[256], input = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    struct rlimit limit;
    time_t reported = 0;
    if (argument_count != 4) return 64;
    count = atoi(arguments[1]), port = atoi(arguments[2]), path = arguments[3];
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    clients = calloc(count, sizeof *clients);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input)) fail("epoll");
    while (1) {
        while (begun < count && begun - opened - closed < UNDER_WAY) begin(begun++);
        int ready = epoll_wait(epoll, events, 256, 200);
        for (int place = 0; place < ready; place++) {
            uint32_t index = events[place].data.u32;
            if (index == UINT32_MAX) say_line();
            else turn(&clients[index], events[place].events);
        }
        if (time(NULL) == reported) continue;
        reported = time(NULL);
        report();
    }
}
