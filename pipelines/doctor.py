def doctor_command(**_):
    pass
