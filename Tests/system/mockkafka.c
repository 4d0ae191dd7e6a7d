/*
 * The cluster that librdkafka brings along for its own tests, as a process of its own, with the faults that it can have.
 *
 *     mockkafka BROKERS [TOPIC PARTITIONS]...
 *
 * Prints the brokers' addresses. Then each line of standard input is a command, which is answered by "ok" or an error.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rd_kafka_mock_cluster_t *cluster;

static rd_kafka_resp_err_t perform(const char *line) {
    char topic[250];
    int broker, number, count;
    if (sscanf(line, "down %d", &broker) == 1) return rd_kafka_mock_broker_set_down(cluster, broker);
    if (sscanf(line, "up %d", &broker) == 1) return rd_kafka_mock_broker_set_up(cluster, broker);
    if (sscanf(line, "rtt %d %d", &broker, &number) == 2) return rd_kafka_mock_broker_set_rtt(cluster, broker, number);
    if (sscanf(line, "topic %249s %d", topic, &count) == 2)
        return rd_kafka_mock_topic_create(cluster, topic, count, 1);
    /* Partition; broker, or -1 for none. */
    if (sscanf(line, "leader %249s %d %d", topic, &number, &broker) == 3)
        return rd_kafka_mock_partition_set_leader(cluster, topic, number, broker);
    /* What the next requests of a kind (API key) are answered with. */
    if (sscanf(line, "error %d %d %d", &number, &broker, &count) == 3) {
        while (count-- > 0) rd_kafka_mock_push_request_errors(cluster, (int16_t)number, 1, (rd_kafka_resp_err_t)broker);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (sscanf(line, "clear %d", &number) == 1) {
        rd_kafka_mock_clear_request_errors(cluster, (int16_t)number);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    /* What a topic is described with. */
    if (sscanf(line, "topicerror %249s %d", topic, &number) == 2) {
        rd_kafka_mock_topic_set_error(cluster, topic, (rd_kafka_resp_err_t)number);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return RD_KAFKA_RESP_ERR_INVALID_REQUEST;
}

int main(int count, char **arguments) {
    char line[512];
    int brokers = count > 1 ? atoi(arguments[1]) : 1;
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), line, sizeof line);
    cluster = host ? rd_kafka_mock_cluster_new(host, brokers) : NULL;
    if (!cluster) return 1;
    for (int i = 2; i + 1 < count; i += 2)
        rd_kafka_mock_topic_create(cluster, arguments[i], atoi(arguments[i + 1]), 1);
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        rd_kafka_resp_err_t error = perform(line);
        puts(error ? rd_kafka_err2str(error) : "ok");
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    return 0;
}
