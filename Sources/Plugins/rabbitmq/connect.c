/* How a connection begins: TCP, TLS, login. */
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"

/* How long a server may take to accept a connection, for TLS, for login, and for each answer: in seconds. */
enum { CONNECT_SECONDS = 3, LOGIN_SECONDS = 5, ANSWER_SECONDS = 10 };

/* Lets another thread end what waits for a socket. False if the connection is broken already. */
static bool guard(struct connection *connection, int descriptor) {
    pthread_mutex_lock(&connection->lock);
    if (connection->breaker >= 0) close(connection->breaker);
    connection->breaker = descriptor >= 0 ? dup(descriptor) : -1;
    bool is_broken = connection->is_broken;
    pthread_mutex_unlock(&connection->lock);
    return !is_broken;
}

/* Waits until a socket is connected: 0 or the error. */
static int wait_connected(int descriptor) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLOUT};
    int count;
    do count = poll(&wanted, 1, CONNECT_SECONDS * 1000);
    while (count < 0 && errno == EINTR);
    if (count == 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    if (count < 0 || getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
    return error;
}

/* A connected socket, that does not block; -1, with a reason. The library's own way does not tell the reason. */
static int tcp_connect(struct connection *connection) {
    const struct server *server = connection->server;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
    char port[8];
    snprintf(port, sizeof port, "%d", server->port);
    int error = getaddrinfo(server->host, port, &hints, &list);
    if (error) {
        connection_fail(connection, "the name of %s can't be resolved: %s", server->name, gai_strerror(error));
        return -1;
    }
    int descriptor = -1;
    for (struct addrinfo *address = list; address && descriptor < 0; address = address->ai_next) {
        int candidate = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        error = candidate < 0 ? errno : 0;
        if (error == 0 && !guard(connection, candidate)) error = ECANCELED;
        if (error == 0 && connect(candidate, address->ai_addr, address->ai_addrlen) < 0)
            error = errno == EINPROGRESS ? wait_connected(candidate) : errno;
        if (error == 0) descriptor = candidate;
        else if (candidate >= 0) close(candidate);
    }
    freeaddrinfo(list);
    if (descriptor < 0) connection_fail(connection, "%s can't be reached: %s", server->name, strerror(error));
    return descriptor;
}

static bool open_tcp(struct connection *connection) {
    int descriptor = tcp_connect(connection);
    if (descriptor < 0) return false;
    amqp_socket_t *socket = amqp_tcp_socket_new(connection->amqp);
    if (!socket) {
        close(descriptor);
        return connection_fail(connection, "no memory");
    }
    amqp_tcp_socket_set_sockfd(socket, descriptor);
    return true;
}

static bool open_tls(struct connection *connection) {
    const struct settings *settings = connection->settings;
    const char *name = connection->server->name;
    amqp_socket_t *socket = amqp_ssl_socket_new(connection->amqp);
    if (!socket) return connection_fail(connection, "no memory");
    if (amqp_ssl_socket_set_cacert(socket, settings->ca))
        return connection_fail(connection, "no certificates of authorities can be read from %s", settings->ca);
    if (settings->certificate && amqp_ssl_socket_set_key(socket, settings->certificate, settings->key))
        return connection_fail(
            connection, "the certificate in %s and the key in %s can't be used together", settings->certificate, settings->key);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    int status = amqp_socket_open_noblock(
        socket, connection->server->host, connection->server->port, &(struct timeval){.tv_sec = LOGIN_SECONDS});
    switch (status) {
        case AMQP_STATUS_OK: return true;
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
            return connection_fail(
                connection, "the certificate of %s is not signed by an authority in %s, or is not valid now", name, settings->ca);
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            return connection_fail(connection, "the certificate of %s is for another name", name);
        case AMQP_STATUS_SSL_CONNECTION_FAILED:
            return connection_fail(connection, "%s does not speak TLS, or no version or cipher that both know", name);
        default: break;
    }
    /* It was not reached at all, or it keeps silent: TCP tells. */
    int descriptor = tcp_connect(connection);
    if (descriptor < 0) return false;
    close(descriptor);
    if (status == AMQP_STATUS_TIMEOUT)
        return connection_fail(connection, "%s accepts connections, but does not answer with TLS", name);
    return connection_fail(connection, "TLS with %s failed: %s", name, amqp_error_string2(status));
}

static amqp_table_entry_t yes(const char *key) {
    return (amqp_table_entry_t){amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t text(const char *key, const char *value) {
    return (amqp_table_entry_t){
        amqp_cstring_bytes(key), {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static bool login_failed(struct connection *connection, amqp_rpc_reply_t reply) {
    const struct settings *settings = connection->settings;
    const char *name = connection->server->name;
    char said[512];
    reply_text(reply, said, sizeof said);
    int code = reply_code(reply);
    if (code == AMQP_ACCESS_REFUSED && strstr(said, "refused using"))
        return connection_fail(connection, "%s refused the password of user \"%s\"", name, settings->user);
    if (code == AMQP_ACCESS_REFUSED) return connection_fail(connection, "%s refused user \"%s\": %s", name, settings->user, said);
    if (code == AMQP_NOT_ALLOWED && strstr(said, "not found"))
        return connection_fail(connection, "%s has no vhost \"%s\"", name, settings->vhost);
    if (code == AMQP_NOT_ALLOWED && strstr(said, "refused for user"))
        return connection_fail(connection, "%s lets user \"%s\" not into vhost \"%s\"", name, settings->user, settings->vhost);
    if (code) return connection_fail(connection, "%s refused the connection: %s", name, said);
    switch (reply.library_error) {
        case AMQP_STATUS_TIMEOUT:
            return connection_fail(connection, "%s accepts connections, but does not answer", name);
        case AMQP_STATUS_CONNECTION_CLOSED:
        case AMQP_STATUS_SOCKET_ERROR:
        case AMQP_STATUS_SSL_ERROR:
            return connection_fail(
                connection, "%s ended the connection before login%s", name,
                !settings->uses_tls         ? ": is it a port for TLS, or for another protocol?"
                    : settings->certificate ? ""
                                            : ": does it want a client's certificate (certificate, key)?");
        case AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION:
        case AMQP_STATUS_BAD_AMQP_DATA:
            return connection_fail(connection, "%s does not speak AMQP 0-9-1", name);
        default: return connection_fail(connection, "login at %s failed: %s", name, said);
    }
}

/* Says what the library would not: that the server shall tell of alarms and of consumers that it ends. */
static bool login(struct connection *connection) {
    const struct settings *settings = connection->settings;
    char shown[300];
    snprintf(shown, sizeof shown, "%s (%s)", settings->client, connection->role);
    amqp_table_entry_t capabilities[] = {
        yes("connection.blocked"), yes("consumer_cancel_notify"), yes("publisher_confirms"), yes("basic.nack")};
    amqp_table_entry_t properties[] = {
        text("product", "wsd"), text("connection_name", shown),
        {amqp_cstring_bytes("capabilities"), {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {4, capabilities}}}};
    amqp_table_t table = {3, properties};
    amqp_set_handshake_timeout(connection->amqp, &(struct timeval){.tv_sec = LOGIN_SECONDS});
    amqp_set_rpc_timeout(connection->amqp, &(struct timeval){.tv_sec = ANSWER_SECONDS});
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        connection->amqp, settings->vhost, 0, connection->frame_limit, settings->heartbeat, &table, AMQP_SASL_METHOD_PLAIN,
        settings->user, settings->password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) return login_failed(connection, reply);
    /* Who reads sends no frame that is large. */
    if (connection->frame_limit == READ_FRAME_BYTES_MAX &&
        amqp_tune_connection(connection->amqp, amqp_get_channel_max(connection->amqp),
            amqp_get_frame_max(connection->amqp) + READ_FRAME_SPARE, amqp_get_heartbeat(connection->amqp)) != AMQP_STATUS_OK)
        return connection_fail(connection, "no memory");

    const amqp_table_t *server = amqp_get_server_properties(connection->amqp);
    for (int i = 0; i < server->num_entries; i++) {
        const amqp_table_entry_t *entry = &server->entries[i];
        bool is_version = entry->key.len == 7 && memcmp(entry->key.bytes, "version", 7) == 0;
        if (is_version && entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(connection->version, sizeof connection->version, "%.*s", (int)entry->value.value.bytes.len,
                (const char *)entry->value.value.bytes.bytes);
    }
    if (amqp_channel_open(connection->amqp, CONTROL_CHANNEL)) return true;
    return connection_rpc_failed(connection, amqp_get_rpc_reply(connection->amqp), "opening a channel");
}

static bool open_server(struct connection *connection) {
    connection->amqp = amqp_new_connection();
    if (!connection->amqp) return connection_fail(connection, "no memory");
    if (!(connection->settings->uses_tls ? open_tls : open_tcp)(connection)) return false;
    connection->socket = amqp_get_sockfd(connection->amqp);
    if (!guard(connection, connection->socket)) return connection_fail(connection, "it is closed");
    /* The size is fixed, so that a third of it holds a frame. */
    setsockopt(connection->socket, SOL_SOCKET, SO_SNDBUF, &(int){256 << 10}, sizeof(int));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(connection->socket, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    return login(connection);
}

bool connection_open(struct connection *connection) {
    char reasons[sizeof connection->reason] = "";
    size_t count = 0;
    const struct settings *settings = connection->settings;
    for (size_t i = 0; i < settings->server_count; i++) {
        connection->server = &settings->servers[connection->next_server];
        if (open_server(connection)) {
            connection->is_blocked = false;
            connection->heard = milliseconds_now();
            connection->asked = 0;
            pthread_mutex_lock(&connection->lock);
            connection->is_ready = true;
            bool is_broken = connection->is_broken;
            pthread_mutex_unlock(&connection->lock);
            if (!is_broken) return true;
        }
        connection_close(connection, false);
        connection->next_server = (connection->next_server + 1) % settings->server_count;
        int more = snprintf(reasons + count, sizeof reasons - count, "%s%s", count ? "; " : "", connection->reason);
        if (more > 0 && count + (size_t)more < sizeof reasons) count += (size_t)more;
    }
    memcpy(connection->reason, reasons, sizeof reasons);
    return false;
}
