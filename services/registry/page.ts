/** A page of rows with the token of the next one, empty on the last. */
export type Page<T> = { readonly items: T[]; readonly nextPageToken: string };

/** Asks for a page. */
export type ListQuery = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  /** Exactly this name; empty means all. */
  readonly name: string;
};
