// The few rtnetlink requests an instance needs, so that no iproute2 has to be installed.
#include "internal.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

struct request {
  union {
    struct nlmsghdr header;
    char bytes[2048];
  } message;
};

static void *begin(struct request *request, int type, int flags, const void *body, size_t size) {
  memset(request, 0, sizeof *request);
  request->message.header.nlmsg_type = (uint16_t)type;
  request->message.header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
  request->message.header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
  memcpy(NLMSG_DATA(&request->message.header), body, size);
  return NLMSG_DATA(&request->message.header);
}

static struct rtattr *put(struct request *request, int type, const void *value, size_t size) {
  struct nlmsghdr *header = &request->message.header;
  struct rtattr *attribute = (struct rtattr *)(request->message.bytes + NLMSG_ALIGN(header->nlmsg_len));
  attribute->rta_type = (uint16_t)type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(size);
  if (size) memcpy(RTA_DATA(attribute), value, size);
  header->nlmsg_len = (uint32_t)(NLMSG_ALIGN(header->nlmsg_len) + RTA_ALIGN(attribute->rta_len));
  return attribute;
}

static void end_nest(struct request *request, struct rtattr *nest) {
  nest->rta_len = (uint16_t)(request->message.bytes + request->message.header.nlmsg_len - (char *)nest);
}

static void put_text(struct request *request, int type, const char *text) { put(request, type, text, strlen(text) + 1); }

/// Sends one request and waits for its acknowledgement. 0 or a negative errno.
static int send_request(struct request *request) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  int result = -EIO;
  if (send(fd, request->message.bytes, request->message.header.nlmsg_len, 0) < 0) {
    result = -errno;
  } else {
    char answer[4096];
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    struct nlmsghdr *header = (struct nlmsghdr *)answer;
    if (size < 0) result = -errno;
    else if (NLMSG_OK(header, (size_t)size) && header->nlmsg_type == NLMSG_ERROR)
      result = ((struct nlmsgerr *)NLMSG_DATA(header))->error;
  }
  close(fd);
  return result;
}

int rs_parse_mac(const char *text, uint8_t *mac) {
  unsigned part[6];
  if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", part, part + 1, part + 2, part + 3, part + 4, part + 5) != 6) return -EINVAL;
  for (int i = 0; i < 6; i++) mac[i] = (uint8_t)part[i];
  return 0;
}

static int index_of(const char *name) {
  unsigned index = if_nametoindex(name);
  return index ? (int)index : -ENODEV;
}

// No IPv6 on the host's side of an instance: a link-local address there would be a way to host services nobody asked for.
static void disable_ipv6(const char *name) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
  FILE *file = fopen(path, "we");
  if (!file) return;
  fputs("1", file);
  fclose(file);
}

int rs_link_up(const char *name) {
  int index = index_of(name);
  if (index < 0) return index;
  struct request request;
  struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&request, RTM_NEWLINK, 0, &body, sizeof body);
  return send_request(&request);
}

int rs_address_add(const char *name, uint32_t address, int prefix) {
  int index = index_of(name);
  if (index < 0) return index;
  struct request request;
  struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (unsigned)index};
  begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  put(&request, IFA_LOCAL, &address, 4);
  put(&request, IFA_ADDRESS, &address, 4);
  if (prefix < 31) {
    uint32_t broadcast = address | htonl(0xffffffffu >> prefix);
    put(&request, IFA_BROADCAST, &broadcast, 4);
  }
  return send_request(&request);
}

int rs_default_route(uint32_t gateway) {
  struct request request;
  struct rtmsg body = {
    .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE,
    .rtm_type = RTN_UNICAST};
  begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  put(&request, RTA_GATEWAY, &gateway, 4);
  return send_request(&request);
}

int rs_link_delete(const char *name) {
  int index = index_of(name);
  if (index == -ENODEV) return 0;
  struct request request;
  struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = index};
  begin(&request, RTM_DELLINK, 0, &body, sizeof body);
  int result = send_request(&request);
  return result == -ENODEV ? 0 : result;
}

int rs_bridge_ensure(const char *name, const uint8_t *mac, uint32_t address, int prefix) {
  struct request request;
  struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
  begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  put_text(&request, IFLA_IFNAME, name);
  put(&request, IFLA_ADDRESS, mac, 6);
  struct rtattr *info = put(&request, IFLA_LINKINFO, NULL, 0);
  put_text(&request, IFLA_INFO_KIND, "bridge");
  end_nest(&request, info);
  int result = send_request(&request);
  if (result < 0 && result != -EEXIST) return result;
  disable_ipv6(name);
  result = rs_address_add(name, address, prefix);
  if (result < 0 && result != -EEXIST) return result;
  return rs_link_up(name);
}

/// The bridge port's settings: `locked` drops frames whose source is not the one hardware address given below.
static int lock_port(int index) {
  struct request request;
  struct ifinfomsg body = {.ifi_family = AF_BRIDGE, .ifi_index = index};
  begin(&request, RTM_SETLINK, 0, &body, sizeof body);
  struct rtattr *port = put(&request, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
  uint8_t on = 1, off = 0;
  put(&request, IFLA_BRPORT_LEARNING, &off, 1);
  put(&request, IFLA_BRPORT_LOCKED, &on, 1);
  end_nest(&request, port);
  return send_request(&request);
}

static int add_forwarding_entry(int index, const uint8_t *mac) {
  struct request request;
  struct ndmsg body = {.ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER};
  begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  put(&request, NDA_LLADDR, mac, 6);
  return send_request(&request);
}

static int add_neighbour(int bridge, uint32_t address, const uint8_t *mac) {
  struct request request;
  struct ndmsg body = {.ndm_family = AF_INET, .ndm_ifindex = bridge, .ndm_state = NUD_PERMANENT};
  begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  put(&request, NDA_DST, &address, 4);
  put(&request, NDA_LLADDR, mac, 6);
  return send_request(&request);
}

int rs_neighbour_delete(const char *bridge, uint32_t address) {
  int index = index_of(bridge);
  if (index < 0) return index == -ENODEV ? 0 : index;
  struct request request;
  struct ndmsg body = {.ndm_family = AF_INET, .ndm_ifindex = index};
  begin(&request, RTM_DELNEIGH, 0, &body, sizeof body);
  put(&request, NDA_DST, &address, 4);
  int result = send_request(&request);
  return result == -ENOENT ? 0 : result;
}

// The host's answers to an address go to the hardware address that the region gave it, whatever anybody else on the bridge says,
// so an instance cannot hold a connection under another one's address. Where the kernel has locked ports (5.18) it cannot even
// send from another hardware address.
int rs_veth_create(const struct rs_veth *veth) {
  int bridge = index_of(veth->bridge);
  if (bridge < 0) return bridge;
  struct request request;
  struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  put_text(&request, IFLA_IFNAME, veth->host_name);
  put(&request, IFLA_MASTER, &bridge, 4);
  struct rtattr *info = put(&request, IFLA_LINKINFO, NULL, 0);
  put_text(&request, IFLA_INFO_KIND, "veth");
  struct rtattr *data = put(&request, IFLA_INFO_DATA, NULL, 0);
  struct ifinfomsg peer_body = {.ifi_family = AF_UNSPEC};
  struct rtattr *peer = put(&request, VETH_INFO_PEER, &peer_body, sizeof peer_body);
  put_text(&request, IFLA_IFNAME, "eth0");
  put(&request, IFLA_ADDRESS, veth->mac, 6);
  uint32_t pid = (uint32_t)veth->pid;
  put(&request, IFLA_NET_NS_PID, &pid, 4);
  end_nest(&request, peer);
  end_nest(&request, data);
  end_nest(&request, info);
  int result = send_request(&request);
  if (result < 0) return result;
  disable_ipv6(veth->host_name);
  int index = index_of(veth->host_name);
  if (index < 0) return index;
  if ((result = add_forwarding_entry(index, veth->mac)) < 0) return result;
  if ((result = add_neighbour(bridge, veth->address, veth->mac)) < 0) return result;
  result = lock_port(index);
  return result == -EINVAL || result == -EOPNOTSUPP ? 0 : result;
}
