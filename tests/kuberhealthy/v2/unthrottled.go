package main

import (
	"context"
	"log"
	"os"

	khcheckv1 "github.com/kuberhealthy/kuberhealthy/v2/pkg/apis/khcheck/v1"
	khjobv1 "github.com/kuberhealthy/kuberhealthy/v2/pkg/apis/khjob/v1"
	khstatev1 "github.com/kuberhealthy/kuberhealthy/v2/pkg/apis/khstate/v1"
	"github.com/kuberhealthy/kuberhealthy/v2/pkg/masterCalculation"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// With UNTHROTTLED_CONFIG set, the path of a configuration file, Kuberhealthy starts here and
// not in main, whose clients make five requests a second at most: one report takes six.
func init() {
	path, found := os.LookupEnv("UNTHROTTLED_CONFIG")
	if !found {
		return
	}
	configPath = path
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	check(setUpConfig())
	cfg.kubeConfigFile = os.Getenv("KUBECONFIG")
	podHostname = os.Getenv("POD_NAME")
	masterCalculation.DebugAlwaysMasterOn()
	config, err := clientcmd.BuildConfigFromFlags("", cfg.kubeConfigFile)
	check(err)
	config.QPS, config.Burst = 5000, 5000
	kubernetesClient, err = kubernetes.NewForConfig(config)
	check(err)
	dynamicClient, err = dynamic.NewForConfig(config)
	check(err)
	khCheckClient, err = khcheckv1.NewForConfig(config)
	check(err)
	khStateClient, err = khstatev1.NewForConfig(config)
	check(err)
	khJobClient, err = khjobv1.NewForConfig(config)
	check(err)
	server := NewKuberhealthy()
	server.ListenAddr = cfg.ListenAddress
	server.Start(context.Background())
}
