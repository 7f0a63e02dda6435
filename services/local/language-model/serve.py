"""Serves one GGUF file over OpenAI's HTTP form on the loopback until standard input closes.

Prints {"event": "listening", "address": "127.0.0.1:PORT"} once the model is loaded.
"""

import argparse
import json
import os
import sys
import threading


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True, help="folder that holds the package xllamacpp")
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--name", required=True, help="name under which the model is asked for")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    # Idle threads of OpenMP would spin otherwise; read when the library is loaded.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    sys.path.insert(0, options.runtime)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = 2
    params.n_ctx = 2 * 4096
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 256
    # So small a model needs its likeliest word; a request that names a temperature still gets its own.
    params.sampling.temp = 0.0
    params.endpoint_slots = False
    params.ui = False
    # A page in a browser must not be able to use the machine's model.
    params.api_keys = [os.environ.pop("SIGNET_LM_API_KEY")]
    params.cors_origins = "null"
    params.verbosity = 1

    server = xllamacpp.Server(params)
    address = server.listening_address.removeprefix("http://")
    print(json.dumps({"event": "listening", "address": address}), flush=True)
    end_with_standard_input()


def end_with_standard_input() -> None:
    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        os._exit(0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()


if __name__ == "__main__":
    main()
