// Answers with the handler that its router chose and the path that it acted on.
package main

import (
	"fmt"
	"net"
	"net/http"
)

func answer(zone string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s", zone, r.URL.Path)
	}
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/admin", answer("admin"))
	mux.HandleFunc("/admin/", answer("admin"))
	mux.HandleFunc("/", answer("open"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, mux))
}
