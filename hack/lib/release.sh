# shellcheck shell=bash
# The project's own parts on a cluster: the chart, the quickstart, and waiting until both are Ready.
# Sourced by up.sh.

operator_namespace=plimsoll-system
operator_deployment=deployment/plimsoll-operator
quickstart_namespace=demo
ready_seconds=${PLIMSOLL_READY_SECONDS:-180}   # how long the quickstart may take
stalled_seconds=30                      # how long an object may say that it waits for a person before we believe it

# operator_installed NAME WAY: the chart with the operator's image under its hash. The release carries a label with the
# hash of chart and image, so that an unchanged one is left alone and the history stays readable. Fields that somebody
# changed by hand are taken back (--force-conflicts): the run ends with what the repository says.
operator_installed() {
  local name=$1 image label
  image=$(project_image operator "$2")
  label=$({
    echo "$image"
    cd "$root" && project_files chart | xargs -d '\n' cat
  } | sha256sum | cut -c1-12)
  if [ -n "$(in_cluster "$name" helm list --namespace "$operator_namespace" --deployed --selector "content=$label" --short)" ]; then
    kept "installed before"
    return
  fi
  in_cluster "$name" helm upgrade --install plimsoll "$root/chart" --namespace "$operator_namespace" --create-namespace \
    --force-conflicts --labels "content=$label" --set "image.repository=${image%:*}" --set "image.tag=${image##*:}"
  in_cluster "$name" kubectl rollout status "$operator_deployment" --namespace "$operator_namespace" --timeout=120s ||
    die "the operator did not become ready within 120 s. Its last words: $(operator_log "$name" 1);" \
      "more by \"kubectl logs --namespace $operator_namespace $operator_deployment\""
}

operator_log() { # NAME LINES
  in_cluster "$1" kubectl logs --namespace "$operator_namespace" "$operator_deployment" --tail "$2" 2>&1 || true
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

# quickstart_ready NAME WAY: applied, and every budget and service in it Ready. What says that it is stalled is given
# less time: it waits for an edit, unless it has not yet seen what came with it.
quickstart_ready() {
  local name=$1 applied waiting deadline=$((SECONDS + ready_seconds)) moved=$SECONDS
  applied=$(quickstart "$2" | in_cluster "$name" kubectl apply --filename -)
  echo "$applied"
  while :; do
    waiting=$(not_ready "$name" "$2")
    if [ -z "$waiting" ]; then break; fi
    if ! grep --quiet '^stalled' <<<"$waiting"; then moved=$SECONDS; fi
    if [ "$SECONDS" -ge "$deadline" ] || [ $((SECONDS - moved)) -ge "$stalled_seconds" ]; then
      explain_not_ready "$name"
      die "the quickstart is not Ready. Mend what its objects name, then run this command again:
$(cut -f2 <<<"$waiting" | sed 's/^/    /')
    More of what the cluster says: $logs/quickstart.log"
    fi
    detail "$(head -1 <<<"$waiting" | cut -f2 | cut -c1-70)"
    sleep 1
  done
  # A Secret written as stringData reads as configured every time, though the server changes nothing.
  if ! grep --quiet --invert-match --extended-regexp '^secret/| unchanged$' <<<"$applied"; then kept "unchanged, Ready"; fi
}

# not_ready NAME WAY: a line for each of the quickstart's objects that is not Ready yet: whether it is stalled, a tab, what
# its condition says. What else somebody applied beside the quickstart is not waited for.
not_ready() {
  quickstart "$2" | in_cluster "$1" kubectl get --filename - --output=json | jq --raw-output '.items[]
    | select(.apiVersion | startswith("plimsoll.dev/"))
    | (reduce .status.conditions[]? as $condition ({}; .[$condition.type] = $condition)) as $are
    | select($are.Ready.status != "True" or ($are.Ready.observedGeneration // .metadata.generation) != .metadata.generation)
    | (if $are.Stalled.status == "True" then "stalled" else "waits" end)
      + "\t\(.kind) \(.metadata.name): \($are.Ready.reason // "no Ready condition yet"). \($are.Ready.message // "")"'
}

explain_not_ready() {
  in_cluster "$1" kubectl get connectionbudgets,fastapiservices,deployments,pods --all-namespaces --output=wide || true
  in_cluster "$1" kubectl describe connectionbudgets,fastapiservices --namespace "$quickstart_namespace" || true
  in_cluster "$1" kubectl get events --namespace "$quickstart_namespace" --sort-by=.lastTimestamp || true
  operator_log "$1" 50
}

# served PORT: a request from outside the cluster is answered. Spoken by the shell itself: a bare machine may lack curl.
served() {
  local answer deadline=$((SECONDS + 60))
  until answer=$(request "$1" /readyz) && [[ $answer == *" 200 "* ]]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      die "http://127.0.0.1:$1/readyz did not answer with 200 within 60 s (\"${answer:-no answer}\"), although the" \
        "service is Ready: see \"kubectl get services,pods --namespace $quickstart_namespace\""
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
  say "A token for all else: kubectl --namespace demo exec deploy/captions-web -- python3 -m captions.token --subject me"
  say "kubectl's context for it is kind-$name; the kubectl and helm built here: export PATH=$bin:\$PATH"
}

# Whether the user's own kubeconfig holds this very cluster: then their choice of context is left alone.
user_knows() {
  local view=(kubectl config view --raw --output "jsonpath={.clusters[?(@.name==\"kind-$1\")].cluster.certificate-authority-data}")
  [ "$(PATH=$bin:$PATH "${view[@]}" 2>/dev/null)" = "$(in_cluster "$1" "${view[@]}")" ]
}
