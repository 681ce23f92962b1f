/*
 * Established TCP connections, by side, family, kind of network and service port: labels for the entries in which tcpopens.bpf.c counts.
 *
 * The first byte of a key is the number of its layout. A component that knows only some layouts refuses the others with their number;
 * entries with a known layout are not affected.
 */
#include <stdio.h>

#include "ebhost.h"

enum { KEY_BYTES = 20 };

enum layout { LAYOUT_IPV4 = 1, LAYOUT_IPV6 = 2 };

/* The layouts of `union key` in tcpopens.bpf.c. */
struct ipv4_key {
	uint8_t layout, side;
	uint16_t port;
	uint8_t address[4];
};

struct ipv6_key {
	uint8_t layout, side;
	uint16_t port;
	uint8_t address[16];
};

static_assert(sizeof(struct ipv6_key) == KEY_BYTES, "the largest layout is the key's size");

/* The contents of a key, whatever its layout. */
struct connection {
	uint8_t side;
	uint16_t port;
	const char *family, *network;
};

static const char *const SIDES[] = { "connect", "accept" };

enum view { VIEW_OPENS, VIEW_LOST, VIEWS };
enum family { FAMILY_OPENS, FAMILY_LOST, FAMILIES };
enum column { COLUMN_SIDE, COLUMN_FAMILY, COLUMN_NETWORK, COLUMN_PORT, COLUMNS };

bool exports_ebhost_plugin_decoder_describe(text_t *config, manifest_t *ret, text_t *err)
{
	static const char *const labels[] = { "side", "family", "network", "port", NULL }, *const none[] = { NULL };

	/* JSON; there is nothing to configure. */
	if (config->len != 2) {
		*err = text("config: found a key, expected none");
		return false;
	}
	manifest(ret, FAMILIES, VIEWS);
	ret->families.ptr[FAMILY_OPENS] =
		counter("tcp_opens_total", "TCP connections that came to be, by side, the peer's network and service port.", labels);
	ret->families.ptr[FAMILY_LOST] = counter("tcp_opens_lost_total", "Connections that the map had no room for.", none);
	ret->views.ptr[VIEW_OPENS] = table("opens", KEY_BYTES, KEY_BYTES, COLUMNS, FAMILY_OPENS);
	ret->views.ptr[VIEW_LOST] = table("lost", sizeof(uint32_t), 0, 0, FAMILY_LOST);
	return true;
}

/* RFC 1122, 1918, 3927, 6598. */
static const char *ipv4_network(const uint8_t *address)
{
	uint8_t first = address[0], second = address[1];

	if (first == 127)
		return "loopback";
	if (first == 10 || (first == 172 && (second & 0xf0) == 16) || (first == 192 && second == 168))
		return "private";
	if (first == 169 && second == 254)
		return "link-local";
	return first == 100 && (second & 0xc0) == 64 ? "shared" : "public";
}

/* RFC 4291, 4193. */
static const char *ipv6_network(const uint8_t *address)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (memcmp(address, loopback, sizeof(loopback)) == 0)
		return "loopback";
	if (address[0] == 0xfe && (address[1] & 0xc0) == 0x80)
		return "link-local";
	return (address[0] & 0xfe) == 0xfc ? "private" : "public";
}

/* The prefix of IPv4-mapped addresses, with which an IPv6 socket reaches IPv4. */
static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff };

/* Parses a key; returns false if its layout is unknown. */
static bool read_key(const uint8_t *bytes, struct connection *connection)
{
	struct ipv4_key ipv4;
	struct ipv6_key ipv6;

	switch (bytes[0]) {
	case LAYOUT_IPV4:
		memcpy(&ipv4, bytes, sizeof(ipv4));
		*connection = (struct connection){ ipv4.side, ipv4.port, "ipv4", ipv4_network(ipv4.address) };
		return true;
	case LAYOUT_IPV6:
		memcpy(&ipv6, bytes, sizeof(ipv6));
		*connection = (struct connection){ ipv6.side, ipv6.port, "ipv6", ipv6_network(ipv6.address) };
		if (memcmp(ipv6.address, MAPPED, sizeof(MAPPED)) == 0) {
			connection->family = "ipv4";
			connection->network = ipv4_network(ipv6.address + sizeof(MAPPED));
		}
		return true;
	default:
		return false;
	}
}

static void label(rows_t *rows, uint32_t entry, const uint8_t *bytes)
{
	uint32_t *labels = &rows->labels.ptr[entry * COLUMNS];
	struct connection connection;
	char number[64];

	if (!read_key(bytes, &connection)) {
		snprintf(number, sizeof(number), "found layout %u, expected 1 or 2", bytes[0]);
		return unknown(rows, entry, text(number));
	}
	if (connection.side >= sizeof(SIDES) / sizeof(SIDES[0])) {
		snprintf(number, sizeof(number), "found side %u, expected 0 or 1", connection.side);
		return unknown(rows, entry, text(number));
	}
	snprintf(number, sizeof(number), "%u", connection.port);
	labels[COLUMN_SIDE] = place(rows, text(SIDES[connection.side]));
	labels[COLUMN_FAMILY] = place(rows, text(connection.family));
	labels[COLUMN_NETWORK] = place(rows, text(connection.network));
	labels[COLUMN_PORT] = place(rows, text(number));
}

void exports_ebhost_plugin_decoder_decode(batch_t *batch, rows_t *ret)
{
	bool is_opens = batch->view == VIEW_OPENS;

	answer(ret, batch, is_opens ? COLUMNS : 0);
	for (uint32_t entry = 0; is_opens && entry < batch->count; entry++)
		label(ret, entry, &batch->identities.ptr[entry * KEY_BYTES]);
	exports_ebhost_plugin_decoder_batch_free(batch);
}
