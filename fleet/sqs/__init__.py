"""TOUCHES Amazon SQS and SNS, and the embedded server: the sole importer of botocore."""
