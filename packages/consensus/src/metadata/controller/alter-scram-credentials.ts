import { scramKey } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { type ControllerContext, type Outcome, tooManyRecords } from './context.ts'

/** Keys and salt in base64. The keys were made of the password where the request came in: it goes no further. */
export interface ScramUpsertion {
  readonly name: string
  readonly mechanism: number
  readonly iterations: number
  readonly salt: string
  readonly storedKey: string
  readonly serverKey: string
}

export interface AlterScramCredentialsRequest {
  readonly deletions: readonly { readonly name: string; readonly mechanism: number }[]
  readonly upsertions: readonly ScramUpsertion[]
}

export interface AlterScramResult {
  readonly user: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Bytes of the keys by mechanism: SCRAM-SHA-256, SCRAM-SHA-512 (RFC 7677). */
const KEY_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 32],
  [2, 64],
])
const MIN_ITERATIONS = 4_096
const MAX_ITERATIONS = 16_384
/** Beyond Kafka, so that the metadata stays in bounds whoever may change it. */
const MAX_CREDENTIALS = 10_000
const MAX_NAME_LENGTH = 1_000
const MAX_SALT_BYTES = 1_024

/** Works out new SCRAM credentials (`controller.md`, 8; KIP-554): each user for itself, and one named twice not at all. */
export function alterScramCredentials(
  context: ControllerContext,
  { deletions, upsertions }: AlterScramCredentialsRequest,
): Outcome<readonly AlterScramResult[]> {
  const { scramCredentials } = context.image
  const counts = new Map<string, number>()
  for (const { name } of [...deletions, ...upsertions]) counts.set(name, (counts.get(name) ?? 0) + 1)
  const results = new Map<string, AlterScramResult>()
  const records: MetadataRecord[] = []
  const settle = (name: string, error: ApiError | null, record: MetadataRecord) => {
    const isTwice = counts.get(name)! > 1
    const refusal = isTwice ? apiError(MetadataErrorCode.DUPLICATE_RESOURCE, TWICE) : error
    results.set(name, { user: name, errorCode: refusal?.code ?? 0, errorMessage: refusal?.message ?? null })
    if (refusal === null) records.push(record)
  }
  for (const { name, mechanism } of deletions) {
    const isKnown = scramCredentials.has(scramKey(mechanism, name))
    const missing = isKnown ? null : apiError(MetadataErrorCode.RESOURCE_NOT_FOUND, MISSING)
    const error = nameOrMechanismError(name, mechanism) ?? missing
    settle(name, error, { type: 'RemoveUserScramCredentialRecord', name, mechanism })
  }
  let room = MAX_CREDENTIALS - scramCredentials.size
  for (const upsertion of upsertions) {
    const { name, mechanism, iterations, salt, storedKey, serverKey } = upsertion
    const isNew = !scramCredentials.has(scramKey(mechanism, name))
    const full = isNew && --room < 0 ? apiError(MetadataErrorCode.POLICY_VIOLATION, FULL) : null
    const record = {
      type: 'UserScramCredentialRecord',
      name,
      mechanism,
      salt,
      storedKey,
      serverKey,
      iterations,
    } as const
    settle(name, nameOrMechanismError(name, mechanism) ?? upsertionError(upsertion) ?? full, record)
  }
  const refusal = tooManyRecords(records)
  if (refusal === null) return { records, response: [...results.values()] }
  return { records: [], response: [...results.keys()].map((user) => scramRefusal(user, refusal)) }
}

const TWICE = 'A user credential cannot be altered twice in the same request'
const MISSING = 'Attempt to delete a user credential that does not exist'
const FULL = `There are ${MAX_CREDENTIALS} credentials already`

/** What a user is told of a request that was refused as a whole. */
export function scramRefusal(user: string, { code, message }: ApiError): AlterScramResult {
  return { user, errorCode: code, errorMessage: message }
}

function nameOrMechanismError(name: string, mechanism: number): ApiError | null {
  if (name === '') return apiError(MetadataErrorCode.UNACCEPTABLE_CREDENTIAL, 'Username must not be empty')
  if (name.length > MAX_NAME_LENGTH) {
    const message = `A user name may have at most ${MAX_NAME_LENGTH} characters`
    return apiError(MetadataErrorCode.UNACCEPTABLE_CREDENTIAL, message)
  }
  if (KEY_BYTES.has(mechanism)) return null
  return apiError(MetadataErrorCode.UNSUPPORTED_SASL_MECHANISM, 'Unknown SCRAM mechanism')
}

function upsertionError({ mechanism, iterations, salt, storedKey, serverKey }: ScramUpsertion): ApiError | null {
  const refuse = (message: string) => apiError(MetadataErrorCode.UNACCEPTABLE_CREDENTIAL, message)
  if (iterations < MIN_ITERATIONS) return refuse('Too few iterations')
  if (iterations > MAX_ITERATIONS) return refuse('Too many iterations')
  if (bytesOf(salt) > MAX_SALT_BYTES) return refuse(`A salt may have at most ${MAX_SALT_BYTES} bytes`)
  const areKeys = [storedKey, serverKey].every((key) => bytesOf(key) === KEY_BYTES.get(mechanism))
  return areKeys ? null : refuse('The keys are not those of the mechanism')
}

function bytesOf(base64: string): number {
  return Buffer.byteLength(base64, 'base64')
}
