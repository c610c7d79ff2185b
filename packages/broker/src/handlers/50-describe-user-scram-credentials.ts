import type { MetadataImage } from '@millrace/consensus'
import {
  type CredentialInfo,
  createCredentialInfo,
  createDescribeUserScramCredentialsResponse,
  createDescribeUserScramCredentialsResult,
  type DescribeUserScramCredentialsRequest,
  type DescribeUserScramCredentialsResponse,
  describeUserScramCredentialsApi,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** DescribeUserScramCredentials 0 (KIP-554): mechanisms and iterations, never a key. No list, or an empty one: all users. */
export function describeUserScramCredentialsHandler(deps: {
  image(): MetadataImage
}): ApiHandler<DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse> {
  return defineHandler(describeUserScramCredentialsApi, ({ users }) => {
    const known = credentialsByUser(deps.image())
    const isAll = users === null || users.length === 0
    const counts = new Map<string, number>()
    for (const name of isAll ? known.keys() : users.map((user) => user.name)) {
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    const results = Array.from(counts, ([user, count]) => {
      const credentialInfos = known.get(user)
      const [errorCode, what] =
        count > 1
          ? [
              ErrorCode.DUPLICATE_RESOURCE,
              'Cannot describe SCRAM credentials for the same user twice in a single request',
            ]
          : [ErrorCode.RESOURCE_NOT_FOUND, 'Attempt to describe a user credential that does not exist']
      if (count > 1 || credentialInfos === undefined) {
        return createDescribeUserScramCredentialsResult({ user, errorCode, errorMessage: `${what}: ${user}` })
      }
      return createDescribeUserScramCredentialsResult({ user, errorMessage: null, credentialInfos })
    })
    return createDescribeUserScramCredentialsResponse({ errorMessage: null, results })
  })
}

function credentialsByUser({ scramCredentials }: MetadataImage): Map<string, CredentialInfo[]> {
  const byUser = new Map<string, CredentialInfo[]>()
  for (const { name, mechanism, iterations } of scramCredentials.values()) {
    const infos = byUser.get(name)
    const info = createCredentialInfo({ mechanism, iterations })
    if (infos === undefined) byUser.set(name, [info])
    else infos.push(info)
  }
  return byUser
}
