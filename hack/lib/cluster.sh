# shellcheck shell=bash
# A kind cluster by name: made, found again, loaded with images, deleted. Nothing here touches the user's kubectl context;
# up.sh hands the kubeconfig over at its end.
# Sourced by up.sh, test.sh and down.sh. State of cluster NAME lies in .cache/clusters/NAME.

node_port=30080                         # the NodePort that the quickstart's service is published on

cluster_folder() { echo "$cache/clusters/$1"; }
kubeconfig_of() { echo "$cache/clusters/$1/kubeconfig"; }

in_cluster() { # NAME COMMAND…
  local name=$1
  shift
  KUBECONFIG=$(kubeconfig_of "$name") PATH=$bin:$PATH "$@"
}

nodes_of() { docker ps --all --filter "label=io.x-k8s.kind.cluster=$1" --format '{{.Names}}'; }

# cluster_config WAY PORT WORKERS
cluster_config() {
  local worker
  cat <<YAML
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: $([ "$1" = build ] && echo true || echo false)   # its image comes with the registry's node image only
nodes:
- role: control-plane
  extraPortMappings:
  - {listenAddress: 127.0.0.1, hostPort: $2, containerPort: $node_port}
YAML
  for worker in $(seq "$3"); do echo "- role: worker   # $worker"; done
  cat <<'YAML'
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs:                          # an autoscaler's own 15 s and 5 min are long for somebody who watches
      horizontal-pod-autoscaler-sync-period: 5s
      horizontal-pod-autoscaler-downscale-stabilization: 30s
YAML
  if ! may_raise_limits; then
    cat <<'YAML'
- |
  kind: KubeletConfiguration
  featureGates:
    KubeletInUserNamespace: true        # without CAP_SYS_RESOURCE the kubelet may not lower an oom_score_adj
YAML
  fi
}

port_is_free() { ! (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

port_holder() {
  ss --no-header --listening --tcp --numeric --processes "sport = :$1" 2>/dev/null |
    sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1, process \2/p' | head -1
}

# port_available NAME PORT [VARIABLE]: free, or held by the cluster that we are about to find again.
port_available() {
  if ! [[ $2 =~ ^[0-9]+$ ]] || [ "$2" -lt 1 ] || [ "$2" -gt 65535 ]; then
    die "\"$2\" is not a port: give a number from 1 to 65535, e.g. \"make $run_name ${3:-PLIMSOLL_PORT}=8081\""
  fi
  if port_is_free "$2"; then return; fi
  if engine_answers && docker ps --filter "label=io.x-k8s.kind.cluster=$1" --format '{{.Ports}}' |
    grep --quiet --fixed-strings ":$2->"; then return; fi
  local holder
  holder=$(port_holder "$2")
  die "port $2 on 127.0.0.1 is taken${holder:+ (by $holder)}: end that program, or choose another port," \
    "e.g. \"make $run_name ${3:-PLIMSOLL_PORT}=$(($2 + 1))\""
}

cluster_answers() {
  [ -s "$(kubeconfig_of "$1")" ] && in_cluster "$1" timeout 10 kubectl get --raw /readyz >/dev/null 2>&1
}

# cluster_ready NAME WAY PORT WORKERS: makes the cluster unless a whole one of the same making is there.
cluster_ready() {
  local name=$1 way=$2 port=$3 workers=$4 folder image making
  folder=$(cluster_folder "$name")
  image=$(node_image "$way")
  making=$({
    cluster_config "$way" "$port" "$workers"
    docker image inspect --format '{{.Id}}' "$image"
  } | sha256sum | cut -c1-12)
  if [ -n "$(nodes_of "$name")" ]; then
    if [ ! -d "$folder" ]; then
      die "a kind cluster called $name exists that was not made from this cache ($cache): delete it with" \
        "\"$bin/kind delete cluster --name $name\", or work in the checkout that made it"
    fi
    if [ -e "$folder/made-$making" ] && cluster_answers "$name"; then
      pod_network "$name" "$way"
      nodes_ready "$name"
      metrics_installed "$name"
      kept "running"
      return
    fi
    detail "deleting a cluster that is half-made, stopped or outdated"
    cluster_delete "$name"
  fi
  if [ -d "$folder" ]; then
    # The engine may still be finishing a container that an interrupted run had asked for.
    sleep 3
    cluster_delete "$name"
  fi
  mkdir -p "$folder"
  cluster_config "$way" "$port" "$workers" >"$folder/kind.yaml"
  enough_watches
  detail "creating $((workers + 1)) nodes"
  PATH=$bin:$PATH kind create cluster --name "$name" --image "$image" --config "$folder/kind.yaml" \
    --kubeconfig "$folder/kubeconfig" --wait 0s
  detail "pod network"
  nodes_known "$name"
  pod_network "$name" "$way"
  nodes_ready "$name"
  metrics_installed "$name"
  touch "$folder/made-$making"
}

# Every node that was started is in the API, and the controller manager has given it its range of pod addresses.
nodes_known() {
  local nodes
  mapfile -t nodes < <(nodes_of "$1")
  in_cluster "$1" kubectl wait --for=create "${nodes[@]/#/node/}" --timeout=60s ||
    die "of the nodes ${nodes[*]} not all have joined the cluster within 60 s; the reason is in what" \
      "\"docker exec NODE journalctl --unit kubelet\" shows, and this command makes the cluster anew"
  in_cluster "$1" kubectl wait --for='jsonpath={.spec.podCIDR}' nodes --all --timeout=60s
}

# The metrics API, on which autoscalers rest. Nobody waits for it here: it has nothing to say before its second reading.
metrics_installed() { # NAME
  sed "s#METRICS_SERVER#$METRICS_SERVER#" "$root/hack/metrics-server.yaml" |
    in_cluster "$1" kubectl apply --filename - >/dev/null
}

nodes_ready() {
  in_cluster "$1" kubectl wait --for=condition=Ready nodes --all --timeout=180s
  in_cluster "$1" kubectl rollout status daemonset/kube-proxy --namespace kube-system --timeout=120s
}

# Every node's kubelet, containerd and kube-proxy watch files through the one kernel; its usual 128 instances do for
# about two clusters, and what fails then is a kube-proxy with "too many open files".
enough_watches() {
  local limit=/proc/sys/fs/inotify/max_user_instances enough=1024
  if [ "$(<"$limit")" -lt "$enough" ] && ! echo "$enough" 2>/dev/null >"$limit"; then
    echo "the kernel allows $(<"$limit") inotify instances; several clusters need more:" \
      "sudo sysctl fs.inotify.max_user_instances=$enough"
  fi
}

cluster_delete() {
  local name=$1 nodes
  nodes=$(nodes_of "$name")
  if [ -n "$nodes" ]; then
    # shellcheck disable=SC2086  # one word per node
    docker rm --force --volumes $nodes
  fi
  rm -rf "$(cluster_folder "$name")"
}

# ---- Pod network -----------------------------------------------------------------------------------------------------

# pod_network NAME WAY: where kind's own network image cannot be had, every node gets a plain point-to-point network on
# its own range and a route to every other node's range. Repeating it changes nothing, so it also serves a node that was
# restarted or added.
pod_network() {
  if [ "$2" = registry ]; then return; fi
  local nodes name address range
  nodes=$(in_cluster "$1" kubectl get nodes --output=json | jq --raw-output '.items[]
    | [.metadata.name, (.status.addresses[] | select(.type == "InternalIP").address), .spec.podCIDR] | @tsv')
  while read -r name address range; do
    pod_network_of_node "$name" "$range" <<<"$nodes"
  done <<<"$nodes"
}

# pod_network_of_node NAME RANGE, with every node's name, address and range on standard input.
pod_network_of_node() {
  local peer address range
  {
    echo "set -e"
    while read -r peer address range; do
      if [ "$peer" != "$1" ]; then echo "ip route replace $range via $address"; fi
    done
    # Traffic that leaves the cluster takes the node's address: nothing outside knows the way back to a pod.
    cat <<SH
rule="POSTROUTING -s $2 ! -d $pod_range -j MASQUERADE"
iptables -t nat -C \$rule 2>/dev/null || iptables -t nat -A \$rule
# A Service's address that kube-proxy does not know yet must not leave the node: whoever answers out there would be
# kept for the Service for as long as the connection lives.
for chain in OUTPUT FORWARD; do
  iptables -C \$chain -d $service_range -j REJECT 2>/dev/null || iptables -A \$chain -d $service_range -j REJECT
done
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/.pods.new <<'JSON'
$(network_config "$2")
JSON
mv /etc/cni/net.d/.pods.new /etc/cni/net.d/10-pods.conflist
SH
  } | docker exec --interactive "$1" sh
}

pod_range=10.244.0.0/16                 # kind's defaults
service_range=10.96.0.0/16

# The range is a pod's only neighbourhood: ptp gives it a cable to the node, host-local an address, portmap host ports.
network_config() {
  jq --null-input --arg range "$1" '{
    cniVersion: "0.4.0", name: "pods",
    plugins: [
      {type: "ptp", ipMasq: false, mtu: 1500,
       ipam: {type: "host-local", dataDir: "/run/cni-ipam-state", routes: [{dst: "0.0.0.0/0"}], ranges: [[{subnet: $range}]]}},
      {type: "portmap", capabilities: {portMappings: true}}
    ]}'
}

# ---- Images into nodes -----------------------------------------------------------------------------------------------

# load_images NAME IMAGE…: onto every node that runs workloads, and only what a node lacks. An image is known by its id,
# the digest of its configuration, which containerd keeps under the same digest.
load_images() {
  local name=$1 node image id wanted loaded=0
  shift
  for node in $(nodes_with_pods "$name"); do
    local names
    names=$(docker exec "$node" ctr --namespace k8s.io images list --quiet)
    wanted=()
    for image; do
      id=$(docker image inspect --format '{{.Id}}' "$image")
      if ! grep --quiet --line-regexp --fixed-strings "$(full_name "$image")" <<<"$names" ||
        ! docker exec "$node" ctr --namespace k8s.io content get "$id" >/dev/null 2>&1; then wanted+=("$image"); fi
    done
    if [ "${#wanted[@]}" -eq 0 ]; then continue; fi
    detail "${wanted[*]} → $node"
    docker save "${wanted[@]}" | docker exec --interactive "$node" ctr --namespace k8s.io images import -
    loaded=$((loaded + ${#wanted[@]}))
  done
  if [ "$loaded" -eq 0 ]; then kept "the nodes have them"; fi
}

# The nodes that run pods of ours: the workers, or the control plane where it is alone.
nodes_with_pods() { nodes_of "$1" | grep --invert-match -- -control-plane || nodes_of "$1"; }

full_name() {
  case $1 in
    *.*/*) echo "$1" ;;
    */*) echo "docker.io/$1" ;;
    *) echo "docker.io/library/$1" ;;
  esac
}
