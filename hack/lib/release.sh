# shellcheck shell=bash
# The project's own parts on a cluster: the chart, the quickstart, and waiting until both are Ready.
# Sourced by up.sh; test.sh installs the chart with it.

operator_namespace=plimsoll-system
quickstart_namespace=demo

# operator_installed NAME WAY: the chart with the operator's image under its hash. The release carries a label with the
# hash of chart and image, so that an unchanged one is left alone and the history stays readable. Fields that somebody
# changed by hand are taken back (--force-conflicts): the run ends with what the repository says.
operator_installed() {
  local name=$1 image label
  image=$(project_image operator "$2")
  label=$({ cd "$root" && git ls-files --cached --others --exclude-standard -- chart | sort -u | xargs -d '\n' cat; echo "$image"; } | sha256sum | cut -c1-12)
  if [ -n "$(in_cluster "$name" helm list --namespace "$operator_namespace" --deployed --selector "content=$label" --short)" ]; then
    kept "installed before"
    return
  fi
  in_cluster "$name" helm upgrade --install plimsoll "$root/chart" --namespace "$operator_namespace" --create-namespace --force-conflicts \
    --labels "content=$label" --set "image.repository=${image%:*}" --set "image.tag=${image##*:}"
  in_cluster "$name" kubectl rollout status deployment --namespace "$operator_namespace" --timeout=180s ||
    die "the operator did not become ready within 180 s: $(in_cluster "$name" kubectl get pods --namespace "$operator_namespace" --no-headers | tail -3); see \"kubectl logs --namespace $operator_namespace deployment/plimsoll\""
}

# The quickstart as written, with our images under their hashes instead of the release's tag.
quickstart() { # WAY
  local name image script=()
  for name in "${project_names[@]}"; do
    image=$(project_image "$name" "$1")
    script+=(--expression "s#plimsoll/$name:$RELEASE#$image#g")
  done
  sed "${script[@]}" "$root/examples/quickstart.yaml"
}

# quickstart_ready NAME WAY: applied, and every budget and service in it Ready.
quickstart_ready() {
  local name=$1 applied deadline=$((SECONDS + ${PLIMSOLL_READY_SECONDS:-240})) waiting
  applied=$(quickstart "$2" | in_cluster "$name" kubectl apply --filename -)
  echo "$applied"
  while :; do
    waiting=$(not_ready "$name" "$2")
    if [ -z "$waiting" ]; then break; fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      explain_not_ready "$name"
      die "the quickstart is not Ready after ${PLIMSOLL_READY_SECONDS:-240} s:
$waiting
    what the cluster says is in $logs/quickstart.log; after mending it, run this command again"
    fi
    detail "$(head -1 <<<"$waiting" | sed 's/^ *//' | cut -c1-70)"
    sleep 1
  done
  if ! grep --quiet --invert-match ' unchanged$' <<<"$applied"; then kept "unchanged, Ready"; fi
}

# not_ready NAME WAY: a line for each of the quickstart's objects that is not Ready yet, with its condition's message.
# What else somebody applied beside it is not waited for.
not_ready() {
  quickstart "$2" | in_cluster "$1" kubectl get --filename - --output=json | jq --raw-output '.items[]
    | select(.apiVersion | startswith("plimsoll.dev/"))
    | . as $object | ([.status.conditions[]? | select(.type == "Ready")] | first) as $ready
    | select($ready.status != "True" or ($ready.observedGeneration // .metadata.generation) != .metadata.generation)
    | "    \($object.kind) \($object.metadata.name): \($ready.reason // "no Ready condition yet") \($ready.message // "")"'
}

explain_not_ready() {
  in_cluster "$1" kubectl get connectionbudgets,fastapiservices,deployments,pods --all-namespaces --output=wide || true
  in_cluster "$1" kubectl describe connectionbudgets,fastapiservices --namespace "$quickstart_namespace" || true
  in_cluster "$1" kubectl get events --namespace "$quickstart_namespace" --sort-by=.lastTimestamp || true
  in_cluster "$1" kubectl logs --namespace "$operator_namespace" --all-containers --tail=50 --selector app.kubernetes.io/name=plimsoll || true
}

# served PORT: a request from outside the cluster is answered. Spoken by the shell itself: a bare machine may lack curl.
served() {
  local answer deadline=$((SECONDS + 60))
  until answer=$(request "$1" /readyz) && [[ $answer == *" 200 "* ]]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      die "http://127.0.0.1:$1/readyz does not answer with 200 within 60 s (\"${answer:-no answer}\"), although the service is Ready: see \"kubectl get service --namespace $quickstart_namespace\""
    fi
    sleep 0.5
  done
}

request() { # PORT PATH: the status line
  (
    exec 4<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&4
    timeout 5 head -n 1 <&4 | tr -d '\r'
  ) 2>/dev/null
}

# hand_over NAME PORT: the user's kubectl learns of the cluster as from kind itself; then what there is to see.
hand_over() {
  local name=$1
  if ! user_knows "$name"; then PATH=$bin:$PATH kind export kubeconfig --name "$name" --quiet; fi
  say ""
  say "$(in_cluster "$name" kubectl get connectionbudgets,fastapiservices --all-namespaces)"
  say ""
  say "The service answers at http://127.0.0.1:$2 (try: curl http://127.0.0.1:$2/healthz)"
  say "kubectl's context for it is kind-$name; the kubectl and helm built here: export PATH=$bin:\$PATH"
}

# Whether the user's own kubeconfig holds this very cluster: then their choice of context is left alone.
user_knows() {
  local query="{.clusters[?(@.name==\"kind-$1\")].cluster.certificate-authority-data}"
  [ "$("$bin/kubectl" config view --raw --output "jsonpath=$query" 2>/dev/null)" = "$(in_cluster "$1" kubectl config view --raw --output "jsonpath=$query")" ]
}
