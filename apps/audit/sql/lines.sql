-- Rows as they are written to files: JSON objects of all columns, in the order of the chain.
SELECT e.sequence, row_to_json(e)::text
FROM audit_entry AS e
WHERE e.sequence BETWEEN %(first)s AND %(last)s
ORDER BY e.sequence
