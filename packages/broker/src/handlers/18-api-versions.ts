import type { FeatureRange, MetadataImage } from '@millrace/consensus'
import {
  ApiKey,
  type ApiVersionsRequest,
  type ApiVersionsResponse,
  apiVersionsApi,
  createApiVersion,
  createApiVersionsResponse,
  createFinalizedFeatureKey,
  createSupportedFeatureKey,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Versions of one API that this node serves. */
export interface ServedApi {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export interface ApiVersionsDeps {
  /** Every registered handler. */
  servedApis(): readonly ServedApi[]
  image(): MetadataImage
  readonly nodeId: number
  readonly supportedFeatures: ReadonlyMap<string, FeatureRange>
}

/** Characters that may stand in a client's software name and version (KIP-511). */
const SOFTWARE_TEXT = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * ApiVersions 0–5: which versions are served, and feature levels. An unsupported version of this API itself is answered by the
 * network layer. From v5 on a client says which node it believes to talk to; if that is another, it must bootstrap anew (KIP-1242).
 */
export function apiVersionsHandler(deps: ApiVersionsDeps): ApiHandler<ApiVersionsRequest, ApiVersionsResponse> {
  return defineHandler(apiVersionsApi, (request, context) => {
    const version = context.apiVersion
    if (version >= 3) {
      if (!SOFTWARE_TEXT.test(request.clientSoftwareName) || !SOFTWARE_TEXT.test(request.clientSoftwareVersion)) {
        return createApiVersionsResponse({ errorCode: ErrorCode.INVALID_REQUEST })
      }
      context.connection.clientSoftwareName = keptText(request.clientSoftwareName)
      context.connection.clientSoftwareVersion = keptText(request.clientSoftwareVersion)
    }
    const image = deps.image()
    const otherCluster = request.clusterId !== null && request.clusterId !== image.clusterId
    const otherNode = request.nodeId >= 0 && request.nodeId !== deps.nodeId
    if (version >= 5 && (otherCluster || otherNode)) {
      return createApiVersionsResponse({ errorCode: ErrorCode.REBOOTSTRAP_REQUIRED })
    }
    return createApiVersionsResponse({
      apiKeys: advertisedApis(deps.servedApis()),
      supportedFeatures: supportedFeatures(deps.supportedFeatures, version),
      finalizedFeatures: Array.from(image.features, ([name, level]) =>
        createFinalizedFeatureKey({ name, minVersionLevel: level, maxVersionLevel: level }),
      ),
      // The offset of the newest applied record.
      finalizedFeaturesEpoch: image.offset - 1,
    })
  })
}

/** Longer ones are not kept: two of the largest strings of each of ten thousand connections would be half a gigabyte. */
const MAX_KEPT_TEXT = 128

function keptText(text: string): string {
  return text.length <= MAX_KEPT_TEXT ? text : ''
}

/** In order of keys. Produce is shown from 0, which an older check of librdkafka wants, though served from 3 only. */
function advertisedApis(served: readonly ServedApi[]) {
  return [...served]
    .sort((a, b) => a.apiKey - b.apiKey)
    .map(({ apiKey, minVersion, maxVersion }) =>
      createApiVersion({ apiKey, minVersion: apiKey === ApiKey.PRODUCE ? 0 : minVersion, maxVersion }),
    )
}

/** Before v4 clients cannot read a least level of 0, so such features are left out. */
function supportedFeatures(features: ReadonlyMap<string, FeatureRange>, version: number) {
  const listed = [...features].filter(([, range]) => version >= 4 || range.min > 0)
  return listed.map(([name, { min, max }]) => createSupportedFeatureKey({ name, minVersion: min, maxVersion: max }))
}
