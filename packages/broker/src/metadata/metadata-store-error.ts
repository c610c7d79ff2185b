import { BaseError } from '@millrace/base'

export type MetadataStoreErrorCode =
  | 'METADATA_CORRUPT'
  | 'METADATA_VERSION'
  | 'METADATA_CLUSTER_MISMATCH'
  | 'METADATA_CLOSED'

/**
 * The metadata of this node cannot be used. `METADATA_CORRUPT`: synced bytes are damaged, at `position` of `path`;
 * `METADATA_VERSION`: another version wrote it; `METADATA_CLUSTER_MISMATCH`: it belongs to another cluster; `METADATA_CLOSED`: the
 * node is shutting down.
 */
export class MetadataStoreError extends BaseError {
  readonly path: string
  readonly position: number

  constructor(code: MetadataStoreErrorCode, path: string, position: number, message: string) {
    super(code, message)
    this.path = path
    this.position = position
  }
}
