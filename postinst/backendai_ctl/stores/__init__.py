"""The stores: etcd, PostgreSQL and Redis or Valkey, and whether they answer."""
