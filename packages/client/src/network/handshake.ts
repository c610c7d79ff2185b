import {
  type ApiVersionsRequest,
  type ApiVersionsResponse,
  apiVersionsApi,
  createApiVersionsRequest,
  decodeApiVersionsResponse,
  ErrorCode,
  type Reader,
} from '@millrace/protocol'
import { ProtocolError } from '../errors/protocol-error.ts'
import type { Api } from './api.ts'
import { ApiVersionsTable } from './api-versions-table.ts'
import type { Connection } from './connection.ts'

const SOFTWARE_NAME = 'millrace'
const SOFTWARE_VERSION = '0.1.0'

/**
 * ApiVersions, whose answer may be older than its request: a broker that does not know the version answers with version 0 and
 * UNSUPPORTED_VERSION (KIP-511), so the error code, which every version has first, decides how to read on.
 */
export const negotiationApi: Api<ApiVersionsRequest, ApiVersionsResponse> = {
  ...apiVersionsApi,
  decodeResponse(reader: Reader, version: number): ApiVersionsResponse {
    const errorCode = reader.remaining >= 2 ? reader.buffer.readInt16BE(reader.position) : 0
    return decodeApiVersionsResponse(reader, errorCode === ErrorCode.UNSUPPORTED_VERSION ? 0 : version)
  },
}

/** Learns what the broker serves. Rejects with `ProtocolError` or the connection's error. */
export async function negotiateVersions(connection: Connection, timeoutMs: number): Promise<ApiVersionsTable> {
  let version = negotiationApi.maxVersion
  for (;;) {
    const message = createApiVersionsRequest({
      clientSoftwareName: SOFTWARE_NAME,
      clientSoftwareVersion: SOFTWARE_VERSION,
    })
    const { response } = await connection.requestVersion(negotiationApi, message, version, timeoutMs)
    if (response.errorCode === ErrorCode.NONE) {
      return new ApiVersionsTable(
        response.apiKeys.map(({ apiKey, minVersion, maxVersion }) => ({ key: apiKey, minVersion, maxVersion })),
        response.finalizedFeatures.map(({ name, maxVersionLevel }) => ({ name, level: maxVersionLevel })),
        Number(response.finalizedFeaturesEpoch),
      )
    }
    if (response.errorCode !== ErrorCode.UNSUPPORTED_VERSION || version === 0) {
      throw new ProtocolError(response.errorCode)
    }
    const served = response.apiKeys.find(({ apiKey }) => apiKey === negotiationApi.key)
    version = Math.max(0, Math.min(version - 1, served?.maxVersion ?? 0))
  }
}
