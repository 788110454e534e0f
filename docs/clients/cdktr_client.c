/* A client of cdktr in plain C11 and POSIX, without any library: one request, one reply.
 *
 *     cc -std=c11 -O2 -o cdktr_client cdktr_client.c
 *     ./cdktr_client 127.0.0.1 5561 PING
 *     ./cdktr_client 127.0.0.1 5561 RUNTASK hello
 *     ./cdktr_client 127.0.0.1 5561 TRIGGER '{"workflow_id": "hello"}'
 *     ./cdktr_client -t 65 127.0.0.1 5561 AWAITRUN '{"workflow_instance_id": "keen-owl-7", "wait_ms": 60000}'
 *
 * The payload of the reply goes to stdout, what went wrong to stderr. Exit codes: 0 done, 2 the command line is wrong,
 * 3 no principal answers, 6 the principal refused.
 *
 * It speaks ZMTP 3.1 as a REQ socket with the NULL mechanism: greeting, READY, then frames. A frame is a byte of flags,
 * its size (one byte, or eight with LONG_SIZE, the highest first) and its body. A message is frames of which all but
 * the last have MORE; a frame with COMMAND is not part of a message. A REQ socket's message begins with an empty frame.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DONE = 0, USAGE = 2, NO_PRINCIPAL = 3, REFUSED = 6 };
enum { MORE = 1, LONG_SIZE = 2, COMMAND = 4 };

/* Bytes that a reply may have; those of a command are few. */
#define MAX_REPLY ((uint64_t)1 << 30)
#define MAX_COMMAND 4096

static int connection = -1;
static int64_t deadline_ms;

static void fail(int code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("cdktr_client: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(code);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *room(size_t size) {
    void *found = malloc(size ? size : 1);
    if (!found) fail(NO_PRINCIPAL, "no memory for %zu bytes", size);
    return found;
}

/* Wait until the socket can be read or written; 0 when the time is over. */
static int ready(int fd, short event) {
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd look = {.fd = fd, .events = event};
        int found = poll(&look, 1, left > 0 ? (int)left : 0);
        if (found > 0) return 1;
        if (found == 0) return 0;
        if (errno != EINTR) fail(NO_PRINCIPAL, "poll: %s", strerror(errno));
    }
}

/* Connect to the first address of the host that takes it. */
static void reach(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all;
    int why = getaddrinfo(host, port, &hints, &all);
    if (why) fail(NO_PRINCIPAL, "%s:%s: %s", host, port, gai_strerror(why));
    int error = 0;
    for (struct addrinfo *each = all; each && connection < 0; each = each->ai_next) {
        int fd = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (fd < 0) {
            error = errno;
            continue;
        }
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        error = connect(fd, each->ai_addr, each->ai_addrlen) ? errno : 0;
        if (error == EINPROGRESS) {
            socklen_t size = sizeof error;
            if (!ready(fd, POLLOUT)) error = ETIMEDOUT;
            else getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        }
        if (error) close(fd);
        else connection = fd;
    }
    freeaddrinfo(all);
    if (connection < 0) fail(NO_PRINCIPAL, "no principal answers at %s:%s: %s", host, port, strerror(error));
}

static void put(const void *data, size_t size) {
    const char *from = data;
    while (size) {
        ssize_t sent = write(connection, from, size);
        if (sent > 0) {
            from += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!ready(connection, POLLOUT)) fail(NO_PRINCIPAL, "the principal does not read");
        } else if (errno != EINTR) {
            fail(NO_PRINCIPAL, "the connection broke: %s", strerror(errno));
        }
    }
}

/* All of `size` bytes, in however many packets they come. */
static void take(void *data, size_t size) {
    char *to = data;
    while (size) {
        ssize_t got = read(connection, to, size);
        if (got > 0) {
            to += got;
            size -= (size_t)got;
        } else if (got == 0) {
            fail(NO_PRINCIPAL, "the principal closed the connection");
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!ready(connection, POLLIN)) fail(NO_PRINCIPAL, "the principal did not answer in time");
        } else if (errno != EINTR) {
            fail(NO_PRINCIPAL, "the connection broke: %s", strerror(errno));
        }
    }
}

static void put_frame(int flags, const void *body, size_t size) {
    unsigned char head[9] = {(unsigned char)flags, (unsigned char)size};
    size_t length = 2;
    if (size > 255) {
        head[0] |= LONG_SIZE;
        for (int byte = 0; byte < 8; byte++) head[1 + byte] = (unsigned char)((uint64_t)size >> (56 - 8 * byte));
        length = 9;
    }
    put(head, length);
    put(body, size);
}

struct frame {
    int flags;
    size_t size;
    char *body; /* with a zero behind it; for the caller to free */
};

static struct frame take_frame(void) {
    unsigned char head[9];
    take(head, 2);
    uint64_t size = head[1];
    if (head[0] & LONG_SIZE) {
        take(head + 2, 7);
        size = 0;
        for (int byte = 1; byte < 9; byte++) size = size << 8 | head[byte];
    }
    if (head[0] & ~(MORE | LONG_SIZE | COMMAND)) fail(NO_PRINCIPAL, "what answers is no principal");
    if (size > (head[0] & COMMAND ? MAX_COMMAND : MAX_REPLY)) fail(NO_PRINCIPAL, "what answers is too long");
    struct frame found = {head[0], (size_t)size, room((size_t)size + 1)};
    take(found.body, found.size);
    found.body[found.size] = '\0';
    return found;
}

/* Whether a command has this name; its length stands before it. */
static int is_command(const struct frame *frame, const char *name) {
    size_t length = strlen(name);
    return frame->size > length && (unsigned char)frame->body[0] == length && !memcmp(frame->body + 1, name, length);
}

static void greet(void) {
    unsigned char mine[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L'}, theirs[64];
    put(mine, sizeof mine);
    take(theirs, sizeof theirs);
    if (theirs[0] != 0xff || theirs[9] != 0x7f || theirs[10] < 3) fail(NO_PRINCIPAL, "what answers is no principal");
    if (memcmp(theirs + 12, "NULL\0", 5)) fail(NO_PRINCIPAL, "the principal wants %.20s", (char *)theirs + 12);
    static const char hello[] = "\5READY\13Socket-Type\0\0\0\3REQ";
    put_frame(COMMAND, hello, sizeof hello - 1);
    struct frame answer = take_frame();
    if (!(answer.flags & COMMAND) || !is_command(&answer, "READY"))
        fail(NO_PRINCIPAL, "the principal refused the connection");
    free(answer.body);
}

/* The next frame of a message; what the principal asks meanwhile is answered. */
static struct frame take_part(void) {
    for (;;) {
        struct frame frame = take_frame();
        if (!(frame.flags & COMMAND)) return frame;
        if (is_command(&frame, "PING") && frame.size >= 7) {
            /* Its name and a time to live of two bytes; what follows is sent back. */
            size_t rest = frame.size - 7;
            char *pong = room(5 + rest);
            memcpy(pong, "\4PONG", 5);
            memcpy(pong + 5, frame.body + 7, rest);
            put_frame(COMMAND, pong, 5 + rest);
            free(pong);
        }
        free(frame.body);
    }
}

/* The words with the byte 0x01 between them. */
static void ask(char **words, int count) {
    size_t size = 0;
    for (int word = 0; word < count; word++) size += strlen(words[word]) + (word > 0);
    char *request = room(size + 1), *end = request;
    for (int word = 0; word < count; word++) {
        if (word) *end++ = '\1';
        size_t length = strlen(words[word]);
        memcpy(end, words[word], length);
        end += length;
    }
    put_frame(MORE, "", 0);
    put_frame(0, request, size);
    free(request);
}

static int tell(const struct frame *reply) {
    char *payload = memchr(reply->body, '\1', reply->size);
    size_t kind = payload ? (size_t)(payload - reply->body) : reply->size;
    size_t size = payload ? reply->size - kind - 1 : 0;
    if (kind == 7 && payload && !memcmp(reply->body, "SUCCESS", 7)) {
        fwrite(payload + 1, 1, size, stdout);
        putchar('\n');
    } else if (!payload && (!strcmp(reply->body, "PONG") || !strcmp(reply->body, "OK"))) {
        puts(reply->body);
    } else {
        fprintf(stderr, "cdktr_client: %.*s: %.*s\n", (int)kind, reply->body, (int)size, payload ? payload + 1 : "");
        return REFUSED;
    }
    if (fflush(stdout) || ferror(stdout)) fail(1, "cannot write: %s", strerror(errno));
    return DONE;
}

int main(int count, char **words) {
    double seconds = 3;
    int next = 1;
    if (count > 2 && !strcmp(words[1], "-t")) {
        char *end;
        seconds = strtod(words[2], &end);
        if (*end || !(seconds > 0 && seconds <= 86400)) fail(USAGE, "-t takes seconds, not %s", words[2]);
        next = 3;
    }
    char *rest = "";
    long port = count - next < 3 ? 0 : strtol(words[next + 1], &rest, 10);
    if (*rest || port < 1 || port > 65535) fail(USAGE, "usage: cdktr_client [-t SECONDS] HOST PORT VERB [ARGUMENT]...");
    signal(SIGPIPE, SIG_IGN);
    deadline_ms = now_ms() + (int64_t)(seconds * 1000);

    reach(words[next], words[next + 1]);
    greet();
    ask(words + next + 2, count - next - 2);
    struct frame reply = take_part();
    while (reply.flags & MORE) {
        free(reply.body);
        reply = take_part();
    }
    int code = tell(&reply);
    free(reply.body);
    close(connection);
    return code;
}
