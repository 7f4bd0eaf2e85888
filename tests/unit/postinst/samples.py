"""What tests need of the sample configurations, in their shape."""

STORAGE_PROXY = """\
[etcd]
namespace = "local"                         # env: BACKEND_NAMESPACE
addr = { host = "127.0.0.1", port = 2379 }  # env: BACKEND_ETCD_ADDR (host:port)
user = ""
password = ""

[storage-proxy]
node-id = "i-storage-proxy-local"
num-proc = 1
# pid-file = "./storage-proxy.pid"
event-loop = "uvloop"
secret = "some-secret-private-for-storage-proxy"
# user = 1000

[api.client]
service-addr = { host = "0.0.0.0", port = 6021 }
ssl-enabled = false

[api.manager]
service-addr = { host = "0.0.0.0", port = 6022 }
internal-addr = { host = "0.0.0.0", port = 16023 }
ssl-enabled = true
ssl-cert = "configs/storage-proxy/ssl/manager-api-selfsigned.cert.pem"
ssl-privkey = "configs/storage-proxy/ssl/manager-api-selfsigned.key.pem"
secret = "some-secret-shared-with-manager"

[logging.console]
colored = true

[volume]

[volume.volume1]
backend = "vfs"
path = "vfolder/local/volume1"

[artifact-registries.huggingface-hub]
type = "huggingface"

[artifact-registries.huggingface-hub.huggingface]
endpoint = "https://huggingface.co"

[artifact-storages.minio-storage]
type = "object_storage"
"""

WEBSERVER = """\
[service]
ip = "0.0.0.0"
port = 8090
wsproxy.url = ""
webui_debug = true
#static_path = "/absolute/path/to/static/resources/"

[environments]

[api]
domain = "default"
endpoint = "https://api.backend.ai"
text = "Backend.AI Cloud"

[session]

[session.redis]
addr = "localhost:8111"
# password = "mysecret"

[session.redis.redis_helper_config]
# socket_timeout = 5

max_age = 604800  # 1 week

[webserver]

[logging.console]
colored = true

[logging.file]
path = "./logs"

[debug]
enabled = true

[apollo-router]
enabled = true
endpoint = "http://127.0.0.1:4000"

[security]
cookie_secure = false

# vim: ft=toml
"""

COORDINATOR = """\
[db]
type = "postgresql"
name = "appproxy"
user = "appproxy"
password = "develove"
addr = { host = "127.0.0.1", port = 8100 }

[redis]
addr = { host = "127.0.0.1", port = 8110 }
# password = "develove"

[proxy_coordinator]
tls_listen = false
allow_unauthorized_configure_request = true

[proxy_coordinator.bind_addr]
host = "0.0.0.0"
port = 10200

[proxy_coordinator.advertised_addr]
# Change `host` and `port` to the actual host and port for user access
host = "127.0.0.1"
port = 10200

[secrets]
api_secret = "some_api_secret"
jwt_secret = "some_jwt_secret"

[permit_hash]
secret = "some_permit_hash_secret"

[logging]
level = "DEBUG"

[debug]
enabled = true
"""

COORDINATOR_ALEMBIC = """\
[alembic]
script_location = ai.backend.appproxy.coordinator.models:alembic
sqlalchemy.url = postgresql+asyncpg://appproxy:develove@localhost:8100/appproxy
"""

WORKER = """\
[redis]
addr = { host = "127.0.0.1", port = 8110 }

[proxy_worker]
coordinator_endpoint = "http://127.0.0.1:10200"
authority = "worker-1"
api_bind_addr = { host = "0.0.0.0", port = 10201 }
api_advertised_addr = { host = "127.0.0.1", port = 10201 }

[proxy_worker.port_proxy]
bind_host = "0.0.0.0"
# Change to the actual host for user access
advertised_host = "127.0.0.1"
bind_port_range = [10205, 10300]

[secrets]
api_secret = "some_api_secret"
jwt_secret = "some_jwt_secret"

[permit_hash]
secret = "some_permit_hash_secret"

[debug]
enabled = true
"""

AGENT = """\
[etcd]
namespace = "local"
[agent]
mode = "docker"
[container]
port-range = [30000, 31000]
[resource]
reserved-cpu = 1
[logging.console]
colored = true
"""

# What the packages of services but the manager's ship: service, file, text.
SAMPLES = (
    ("storage-proxy", "storage-proxy.toml", STORAGE_PROXY),
    ("webserver", "webserver.conf", WEBSERVER),
    ("appproxy-coordinator", "app-proxy-coordinator.toml", COORDINATOR),
    ("appproxy-coordinator", "alembic-appproxy.ini", COORDINATOR_ALEMBIC),
    ("appproxy-worker", "app-proxy-worker.toml", WORKER),
)
