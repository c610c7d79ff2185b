/**
 * Bit fields of the operations that a client may do, by Kafka's operation numbers. Without an authorizer everybody may do all that
 * the kind of resource knows.
 */
const [READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE] = [3, 4, 5, 6, 7, 8]
const [CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE] = [9, 10, 11, 12]

export const TOPIC_OPERATIONS = bits(READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)

export const CLUSTER_OPERATIONS = bits(
  CREATE,
  ALTER,
  DESCRIBE,
  CLUSTER_ACTION,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
  IDEMPOTENT_WRITE,
)

/** The client did not ask. */
export const OPERATIONS_NOT_ASKED = -2_147_483_648

function bits(...operations: number[]): number {
  return operations.reduce((field, operation) => field | (1 << operation), 0)
}
