import type { ScramUpsertion } from '@millrace/consensus'
import {
  type AlterUserScramCredentialsRequest,
  type AlterUserScramCredentialsResponse,
  alterUserScramCredentialsApi,
  createAlterUserScramCredentialsResponse,
  createAlterUserScramCredentialsResult,
  type ScramCredentialUpsertion,
  scramClientKey,
  scramMechanismOfType,
  scramServerKey,
  scramStoredKey,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { mapInSlices, type NextTurn } from './slices.ts'

/**
 * AlterUserScramCredentials 0 (KIP-554). The salted password, with which anybody could log in, ends here: what goes to the controller and is
 * stored can only be checked against. No listener asks for credentials yet (`docs/operations.md`).
 */
export function alterUserScramCredentialsHandler(deps: {
  metadata: Pick<MetadataService, 'alterScramCredentials'>
  nextTurn: NextTurn
}): ApiHandler<AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse> {
  return defineHandler(alterUserScramCredentialsApi, async ({ deletions, upsertions }) => {
    // Two keys for each, by several hashes.
    const keyed = await mapInSlices(upsertions, deps.nextTurn, upsertionOf)
    const results = await deps.metadata.alterScramCredentials({
      deletions: deletions.map(({ name, mechanism }) => ({ name, mechanism })),
      upsertions: keyed,
    })
    return createAlterUserScramCredentialsResponse({ results: results.map(createAlterUserScramCredentialsResult) })
  })
}

/** More than any salted password and any salt that controllers take have; hashing a hundred megabytes would hold the loop for a second. */
const MAX_SECRET_BYTES = 2_048

function upsertionOf({
  name,
  mechanism: type,
  iterations,
  salt,
  saltedPassword,
}: ScramCredentialUpsertion): ScramUpsertion {
  const mechanism = scramMechanismOfType(type)
  // One that is too long still is, and refused for it.
  const known = { name, mechanism: type, iterations, salt: salt.toString('base64', 0, MAX_SECRET_BYTES) }
  // The controller refuses a mechanism that it does not know, and keys that are none.
  if (mechanism === null || saltedPassword.length > MAX_SECRET_BYTES) return { ...known, storedKey: '', serverKey: '' }
  const storedKey = scramStoredKey(mechanism, scramClientKey(mechanism, saltedPassword))
  const serverKey = scramServerKey(mechanism, saltedPassword)
  return { ...known, storedKey: storedKey.toString('base64'), serverKey: serverKey.toString('base64') }
}
