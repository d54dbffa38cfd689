// Command metrics-server serves a kind cluster's metrics API, on which autoscalers rest. It is metrics-server's own server
// with a command line of our own: the project's does not compile against this Kubernetes, the rest of it does, and so it
// shares its packages with the other programs that are built here. It knows the flags that hack/kind/metrics-server.yaml
// gives, which the registry's image knows as well.
package main

import (
	"log"
	"net"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/compatibility"
	"sigs.k8s.io/metrics-server/pkg/api"
	generatedopenapi "sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/server"
)

func main() {
	serving := options.NewSecureServingOptions().WithLoopback()
	authentication := options.NewDelegatingAuthenticationOptions()
	authorization := options.NewDelegatingAuthorizationOptions()
	flags := pflag.CommandLine
	serving.AddFlags(flags)
	resolution := flags.Duration("metric-resolution", time.Minute, "how often kubelets are asked")
	timeout := flags.Duration("kubelet-request-timeout", 10*time.Second, "how long a kubelet may take to answer")
	insecure := flags.Bool("kubelet-insecure-tls", false, "take any certificate for a kubelet's")
	pflag.Parse()

	must(serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}))
	config := genericapiserver.NewConfig(api.Codecs)
	must(serving.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig))
	must(authentication.ApplyTo(&config.Authentication, config.SecureServing, nil))
	must(authorization.ApplyTo(&config.Authorization))
	namer := openapinamer.NewDefinitionNamer(api.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.EffectiveVersion = compatibility.NewEffectiveVersionFromString("1.34", "", "")

	cluster, err := rest.InClusterConfig()
	must(err)
	kubelets := rest.CopyConfig(cluster)
	if *insecure {
		kubelets.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	}
	running, err := server.Config{
		Apiserver: config,
		Rest:      cluster,
		Kubelet: &client.KubeletClientConfig{
			Client:              *kubelets,
			AddressTypePriority: []corev1.NodeAddressType{corev1.NodeInternalIP},
			Scheme:              "https",
			UseNodeStatusPort:   true,
		},
		MetricResolution: *resolution,
		ScrapeTimeout:    *timeout,
	}.Complete()
	must(err)
	must(running.RunUntil(genericapiserver.SetupSignalHandler()))
}

func must(err error) {
	if err != nil {
		log.Fatalf("metrics-server: %v", err)
	}
}
